"""The fault matrix in numbers: every fault of the simulator, once at each phase, in both dialects.

A fault is survived if the picture is on disk, or, where nobody can know or the service said no, if the job says so;
and in no case may a job make a second task.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.folders import folder
from tests.engine.kit import Rig, ask, ended
from wan_notebook.simulator.faults import FAULTS

PHASES = ("submit", "poll", "download")
SPEED = 200.0
NO_ANSWER = ("stall_before", "stall_after", "stall_mid_body")
FINAL = {"failed", "failed_plain", "canceled"}


def tried(dialect: str, folder: Path) -> tuple[Counter[str], list[int], list[str]]:
    """Order one job for each fault; return how they ended, the tasks that each made, and what went wrong."""
    states: Counter[str] = Counter()
    tasks, wrong = [], []
    rig = Rig(folder, dialect=dialect, speed=SPEED)
    rig.serve()
    session = rig.kernel()
    for phase in PHASES:
        for fault in [fault for fault in FAULTS if phase in fault.phases]:
            rig.arm(f"{phase}.{fault.name}")
            before = rig.service.tasks_created
            job = ended(ask(session, f"{phase} {fault.name}", seed=1))
            rig.arm()
            made = rig.service.tasks_created - before
            tasks.append(made)
            pictures = len(job.saved_pictures)
            states[job.status] += 1
            said_no = job.status in ("in_doubt", "refused") if phase == "submit" else fault.name in FINAL
            told = bool(job.lives[0].stopped) or any(p.corrupt_file for p in job.rows[0].pictures)
            if made > 1 or not (pictures or said_no or told):
                wrong.append(f"{phase}.{fault.name}: {job.status}, {made} tasks, {pictures} pictures")
    rig.close()
    return states, tasks, wrong


def main() -> None:
    """Print a line for each dialect."""
    for dialect in ("gateway", "dashscope"):
        with folder() as name:
            states, tasks, wrong = tried(dialect, Path(name))
        ends = ", ".join(f"{count} {state}" for state, count in states.most_common())
        print(
            f"{dialect}: {len(tasks) - len(wrong)} of {len(tasks)} faults survived ({ends}); "
            f"tasks per job asked {sum(tasks) / len(tasks):.2f}, at most {max(tasks)}"
        )
        for line in wrong:
            print(f"   not survived: {line}")


if __name__ == "__main__":
    main()
