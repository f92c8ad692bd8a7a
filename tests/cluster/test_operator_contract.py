"""The operator keeps the contract of executors: the same plans end in the same way as on one machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mtj_operator.execute import Executor
from support.cluster import TRAINER_IMAGE, shared_folder
from support.executor_contract import ExecutorContract
from support.kubectl import REPOSITORY, Kubectl
from support.operator_executor import FOLDER, PATIENCE, OperatorExecutor
from support.witness import Witness

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("operator")
class TestOperator(ExecutorContract):
    """See the contract."""

    @pytest.fixture
    def folder(self, namespace: Kubectl) -> Iterator[Path]:
        """Below this checkout, which the nodes see; pods, which are nobody here, may write to it."""
        with tempfile.TemporaryDirectory(dir=REPOSITORY / ".tools", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            folder.chmod(0o777)
            with shared_folder(namespace, "witness", folder):
                yield folder
                namespace("delete", "mtj", "--all")

    @pytest.fixture
    def witness(self, folder: Path) -> Witness:
        return Witness(folder, seen_as=FOLDER, python="python3", patience=PATIENCE)

    @pytest.fixture
    def new_executor(self, namespace: Kubectl, folder: Path) -> Callable[[], Executor]:
        return lambda: OperatorExecutor(namespace, folder, TRAINER_IMAGE)
