from prefect.events import DeploymentEventTrigger

from flow import hent_artikler

if __name__ == "__main__":
    hent_artikler.deploy(
        name="Daglig henting, Østfold",
        work_pool_name="aks",
        work_queue_name="nyheter",
        image="registry.example.no/nyheter/hent-artikler:1.4.0",
        build=False,
        push=False,
        cron="15 5 * * *",
        parameters={"kilde": "sarpsborg-arbeiderblad", "modus": "full"},
        tags=["nyheter", "østfold", "eier:redaksjonen"],
        description="Alt fra i går, hver morgen før redaksjonsmøtet.",
        version="2024.3",
        triggers=[
            DeploymentEventTrigger(
                name="Ny avis i kiosken",
                expect={"kiosk.avis.publisert"},
                match={"prefect.resource.id": "kiosk.*"},
                parameters={"kilde": "{{ event.payload.kilde }}", "modus": "full"},
            )
        ],
        job_variables={"cpu_request": "500m", "memory_request": "1Gi", "env": {"LANG": "nb_NO.UTF-8"}},
    )
