import asyncio

from prefect import aserve, flow
from prefect.deployments import deploy
from prefect.docker import DockerImage


@flow(name="sync-accounts", version="0.9")
async def sync_accounts(full: bool = False, batch: int = 2**10):
    return full, batch


@flow
def expire_sessions(hours: int = 24) -> int:
    "Ends sessions that nobody uses."
    return hours


async def main():
    a = await sync_accounts.to_deployment(name="hourly", interval=3600, parameters={"batch": 512})
    b = await expire_sessions.to_deployment(name="nightly", cron="@daily", description=None, tags=["security", "cleanup"])
    await aserve(a, b, limit=4)


def image() -> DockerImage:
    return DockerImage(name="ghcr.io/small/team", tag="v3", dockerfile="Dockerfile", platform="linux/amd64")


if __name__ == "__main__":
    asyncio.run(main())
    deploy(
        sync_accounts.to_deployment(name="full sync", rrule="DTSTART:20240101T000000\nFREQ=WEEKLY;BYDAY=SU;BYHOUR=3", parameters={"full": True}),
        expire_sessions.to_deployment(name="by hand"),
        work_pool_name="docker-pool",
        image=image(),
        build=False,
        push=False,
        print_next_steps_message=False,
    )
