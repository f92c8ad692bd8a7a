"""A job file that was made to do harm is refused with a sentence, soon and in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtj_api import JobError, load_job, parse_job
from mtj_api.document import LARGEST_TEXT
from support.jobs import SMALLEST

LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))

HOSTILE = {
    "a billion laughs": f"{SMALLEST}{LAUGHS}",
    "an alias of itself": f"{SMALLEST}  x: &x [*x]\n",
    "ten thousand brackets": f"{SMALLEST}  x: {'[' * 10_000}",
    "ten thousand levels": SMALLEST + "".join(f"{' ' * n}a:\n" for n in range(1, 1400)),
    "an object of Python": f"{SMALLEST}  x: !!python/object/apply:os.system ['true']\n",
    "a module of Python": f"{SMALLEST}  x: !!python/module:os\n",
    "a number of 100,000 digits": f"{SMALLEST}  x: {'9' * 100_000}\n",
    "an int that is none": f"{SMALLEST}  x: !!int many\n",
    "a float that is none": f"{SMALLEST}  x: !!float many\n",
    "a bool that is none": f"{SMALLEST}  x: !!bool perhaps\n",
    "a time that is none": f"{SMALLEST}  x: !!timestamp never\n",
    "bytes that are none": f"{SMALLEST}  x: !!binary '*'\n",
    "a key that is a list": f"{SMALLEST}  ? [a]\n  : b\n",
    "a control character": f"{SMALLEST}  x: \x1b[2J\n",
    "megabytes": f"{SMALLEST}  x: '{'x' * LARGEST_TEXT}'\n",
}

BOUNDED = """
import resource, sys
from pathlib import Path
from mtj_api import JobError, load_job
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
for path in sys.argv[1:]:
    try:
        load_job(Path(path))
    except JobError as error:
        print(str(error).encode("unicode_escape").decode()[:300])
    else:
        sys.exit(f"{path} was taken")
"""


def test_a_hostile_file_gets_a_sentence_in_bounded_time_and_memory(tmp_path: Path) -> None:
    paths = [Path("/dev/zero")]
    for number, content in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(content)
    command = [sys.executable, "-c", BOUNDED, *map(str, paths)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    sentences = done.stdout.splitlines()
    assert len(sentences) == len(paths)
    for path, sentence in zip(paths, sentences, strict=True):
        assert sentence.startswith(str(path))


@pytest.mark.parametrize("value", ["!!int x", "[" * 3000, "9" * 10_000, "&a [*a]", "!!python/name:os.system"])
def test_so_does_a_setting_of_the_command_line(value: str) -> None:
    with pytest.raises(JobError):
        parse_job(SMALLEST, settings=[f"spec.output={value}"])


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"(!!\w+|[&*]a|[\[\]{},:?|>-]| |\n|a){0,20}"))
def test_whatever_a_file_says_it_gets_a_sentence(value: str) -> None:
    with pytest.raises(JobError) as refused:  # at the least, there is no field x
        parse_job(f"{SMALLEST}  x: {value}")
    assert all(line.isprintable() for line in str(refused.value).split("\n"))


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:canary@music/out",
        "s3://music/out?X-Amz-Signature=canary",
        "https://user:canary@host/out",
        "s3://music@canary/out",
    ],
)
def test_a_place_has_no_password_in_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(SMALLEST.replace("./out", f"'{url}'"))
    with pytest.raises(JobError) as refused:
        load_job(tmp_path / "job.yaml")
    assert "no storage is known for this" in str(refused.value)
    assert "canary" not in str(refused.value)
