"""Jobs: who does what several processes could do. A lease only saves work; correctness never rests on it."""

from sqlalchemy import or_, update

from tocsin.store.tables import job
from tocsin.store.transaction import Transaction


async def lease(tx: Transaction, name: str, holder: str, now: int, for_seconds: float) -> bool:
    """Take or extend the lease of a job; False while another holder has it."""
    values = {"leased_by": holder, "leased_until": now + round(for_seconds * 1_000_000)}
    free = or_(job.c.leased_by.is_(None), job.c.leased_by == holder, job.c.leased_until <= now)
    taken = await tx.connection.execute(
        tx.insert(job)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values, where=free)
        .returning(job.c.name)
    )
    return taken.scalar_one_or_none() is not None


async def release_lease(tx: Transaction, name: str, holder: str) -> None:
    """Give the lease back, if `holder` still has it."""
    mine = (job.c.name == name) & (job.c.leased_by == holder)
    await tx.connection.execute(update(job).where(mine).values(leased_by=None, leased_until=None))
