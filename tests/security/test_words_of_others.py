"""Names, tags and last words come from strangers: a terminal, a log, a page and a shell take them for words."""

from __future__ import annotations

import io
import json
import logging
import subprocess
from html.parser import HTMLParser

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mtj_api import JobError, parse_job
from mtj_operator.control.log import _FIELDS, _Json, _Words
from mtj_operator.execute.local import _sentence
from mtj_operator.plan.story import words
from mtj_trainer.progress import Progress
from mtj_trainer.publish.markdown import code, command, fence, plain
from mtj_trainer.recipe import recipe
from support.jobs import text

ESCAPES = "\x1b]0;mine\x07\x1b[2J\x9b31m\r\u202egnp.exe\u2028\0"
"""What sets a terminal's title, clears it, colours it, overwrites a line, or turns a name around."""

SCRIPT = "<script>alert(1)</script>"

hostile = st.text(st.characters(codec="utf-8"), max_size=18) | st.from_regex(
    r"([<>&*_`\[\]()#|!~$\\:/@-]|http://e\.x|1\.|<b>|\n|a| ){0,12}", fullmatch=True
)


@given(what=st.text(max_size=20), where=st.text(max_size=20), instead=st.text(max_size=20))
@example(ESCAPES, ESCAPES, ESCAPES)
def test_an_error_is_one_printable_line(what: str, where: str, instead: str) -> None:
    assert str(JobError(what, where=where, instead=instead)).isprintable()


def test_the_last_words_of_a_stage_are_printable() -> None:
    assert words.wrong_job(ESCAPES).isprintable()
    assert words.crash("train", 1, "", ESCAPES).isprintable()


def test_so_they_are_on_this_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    log = tmp_path_factory.mktemp("words") / "failure"
    log.write_text(ESCAPES)
    assert _sentence(log).isprintable()


def test_so_are_lines_of_progress() -> None:
    stream = io.StringIO()
    Progress("prepare", 1, stream).say(f"warning: {ESCAPES}")
    (line,) = stream.getvalue().split("\n")[:-1]
    assert line.isprintable()


@pytest.mark.parametrize("formatter", [_Words(), _Json()])
def test_so_are_lines_of_the_operators_log(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("mtj.reconcile", logging.INFO, "", 0, "made", (), None)
    setattr(record, _FIELDS, {"message": ESCAPES, "other": 'x" level=ERROR\nERROR forged'})
    assert formatter.format(record).isprintable()


class Tags(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> Tags:
    """As CommonMark with tables, links and raw HTML has it, which is the most that a hub may do."""
    found = Tags()
    found.feed(MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(markdown))
    return found


@settings(max_examples=200, deadline=None)
@given(hostile)
@example(SCRIPT)
@example("[x](javascript:alert(1))")
@example("![x](http://e.x/track.png)")
@example("a | b\n--- | ---\n# title")
def test_a_licence_in_the_model_card_is_text(said: str) -> None:
    page = rendered(f"Licences: {plain(said)} (1 track).")
    assert page.tags == ["p"]
    assert page.text.strip() == f"Licences: {_as_shown(said)} (1 track)."


def _as_shown(said: str) -> str:
    from mtj_api.errors import visible

    return " ".join(visible(" ".join(said.split())).split("\n"))


@settings(max_examples=100, deadline=None)
@given(hostile.filter(str.strip))
@example("`` ` ``")
def test_a_name_in_code_is_text(said: str) -> None:
    assert set(rendered(f"It was made from {code(said)}.").tags) == {"p", "code"}


@settings(max_examples=20, deadline=None)
@given(hostile.filter(lambda said: "\0" not in said))
@example('"; touch /tmp/mine; "$(touch mine)`touch mine`')
def test_a_prompt_in_a_command_is_one_word(said: str) -> None:
    from mtj_api.errors import visible

    line = f"printf '[%s]' {command(said)}"
    assert "\n" not in line
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == f"[{visible(said)}]"


def test_a_recipe_stays_in_its_block() -> None:
    prompt = f"a\n```\n{SCRIPT}\n````\n"
    spec = {
        "model": {"family": "musicgen", "pretrained": "facebook/musicgen-small"},
        "evaluation": {"prompts": [prompt]},
    }
    job = parse_job(text(**spec)).job
    block = recipe(job)
    page = rendered(f"{fence(block)}yaml\n{block}{fence(block)}\n")
    assert page.tags == ["pre", "code"]
    assert yaml.safe_load(page.text)["spec"]["evaluation"]["prompts"] == [prompt]
    assert json.loads(json.dumps(yaml.safe_load(block)))
