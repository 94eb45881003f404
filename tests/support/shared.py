"""What is dear to make is made once, also when several processes run the tests."""

import fcntl
import os
import shutil


def make_once(tmp_path_factory, name, make):
    """Return the folder that `make` fills; others wait until it is whole, and take it then."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / name
    whole = folder.with_name(f"{name}.whole")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            # One that failed may have left a part; the next one is to meet the same cause.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
