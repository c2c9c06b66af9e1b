"""Removes what is too old from the archive."""

import os
import tempfile
import time
from pathlib import Path

from prefect import flow, get_run_logger, task

DAY = 24 * 60 * 60


@task
def fill(folder: str, ages_in_days: list[int]) -> None:
    """Writes files of some ages; they stand in for the archive."""
    now = time.time()
    for age in ages_in_days:
        file = Path(folder) / f"edition-{age:04}.pdf"
        file.write_bytes(b"%PDF-1.7\n")
        os.utime(file, (now - age * DAY - 60, now - age * DAY - 60))


@task
def find_old(folder: str, keep_days: int) -> list[Path]:
    """Lists the files that are older, oldest first."""
    border = time.time() - keep_days * DAY
    return sorted(
        (file for file in Path(folder).glob("*.pdf") if file.stat().st_mtime < border),
        key=lambda file: file.stat().st_mtime,
    )


@flow
def archive_cleanup(keep_days: int = 30, max_files: int = 1000, dry_run: bool = False) -> int:
    """Deletes old editions.

    Args:
        keep_days: How long an edition is kept.
        max_files: Delete no more than this in one run.
        dry_run: Only count.
    """
    with tempfile.TemporaryDirectory() as folder:
        fill(folder, [1, 7, 29, 31, 90, 365])
        old = find_old(folder, keep_days)[:max_files]
        if not dry_run:
            for file in old:
                file.unlink()
        left = len(list(Path(folder).iterdir()))
    get_run_logger().info("%d of %d editions are older than %d days", len(old), left + len(old), keep_days)
    return len(old)


if __name__ == "__main__":
    archive_cleanup()
