"""Runs protobuf's compiler over schema files, in one child process for all of them.

A child, because the compiler writes its errors to the process's own stderr and keeps what it has
compiled; grpc is not imported, there or here. Each file is compiled by itself: the names in one say
nothing about those in another.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from collector.errors import CollectorError, Problem

TIMEOUT_S: Final = 120.0
ONE_MESSAGE: Final = "Zerobus is sent this one message only"

# The name must be one that nobody imports: each file is to be compiled without the others.
_NAME: Final = "zerobus-collector-schema"
# The arguments are that name and how many files there are; each is compiled whatever the others.
_CHILD: Final = """
import sys
from grpc_tools import protoc
for number in range(int(sys.argv[2])):
    protoc.main(["protoc", "-I.", "--include_source_info",
                 f"--descriptor_set_out={number}.out", f"{sys.argv[1]}{number}.proto"])
"""
_FAULT = re.compile(_NAME + r"([0-9]+)\.proto:(?:([0-9]+):(?:[0-9]+:)?)? *(?!warning)(.*)")


@dataclass
class Compiled:
    """What the compiler made of the files, and what it had to say about the others."""

    files: dict[Path, FileDescriptorProto] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def compile_files(texts: Mapping[Path, str], no_import: str = ONE_MESSAGE) -> Compiled:
    """Compile each text; a file that has a problem has no descriptor.

    `no_import` says why a file must not import another.
    """
    paths = list(texts)
    with TemporaryDirectory(prefix="collector-") as folder:
        work = Path(folder)
        for number, text in enumerate(texts.values()):
            (work / f"{_NAME}{number}.proto").write_text(text, "utf-8", newline="")
        problems = _problems(_run(work, len(paths)), paths, no_import)
        compiled = Compiled(problems=problems)
        for number, path in enumerate(paths):
            output = work / f"{number}.out"
            if output.exists():
                compiled.files[path] = FileDescriptorSet.FromString(output.read_bytes()).file[-1]
            elif all(problem.file != path for problem in problems):
                problems.append(Problem(path, 1, "can't be compiled"))
    return compiled


def _run(work: Path, count: int) -> str:
    arguments = [sys.executable, "-P", "-c", _CHILD, _NAME, str(count)]
    try:
        done = subprocess.run(
            arguments, cwd=work, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CollectorError(f"the compiler of the schemas can't be run: {error}") from error
    said = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        last = said.strip().rpartition("\n")[2]
        raise CollectorError(
            f"the compiler of the schemas failed: {last}", "is grpcio-tools installed?"
        )
    return said


def _problems(said: str, paths: list[Path], no_import: str) -> list[Problem]:
    """The first thing that was said about each line: the rest follows from it."""
    problems: dict[tuple[Path, int], Problem] = {}
    for match in map(_FAULT.match, said.splitlines()):
        if match:
            path, line, text = paths[int(match[1])], int(match[2] or 1), match[3]
            if text.startswith("Import "):
                text = f"holds an import: {no_import}"
            problems.setdefault((path, line), Problem(path, line, text))
    return list(problems.values())
