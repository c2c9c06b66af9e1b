from høsting import høst_museum

EIERE = {"NF": "Norsk Folkemuseum", "KM": "Kystmuseet i Sør-Trøndelag"}


class Utrulling:
    pool = "docker-pool"

    def __init__(self, kode: str, navn: str, *, time: int = 4) -> None:
        self.kode, self.navn, self.time = kode, navn, time

    @property
    def navnet(self) -> str:
        return self.navn.replace(" i ", " (") + (")" if " i " in self.navn else "")

    def rull_ut(self) -> None:
        høst_museum.deploy(
            self.navnet,
            self.pool,
            f"registry.example.no/kulturarv/{self.kode.lower()}",
            False,
            schedule={"cron": f"{self.time * 7 % 60} {self.time} * * *"} if False else None,
            cron=f"{self.time * 7 % 60} {self.time} * * *",
            parameters={"eier": self.kode, "sider": min(100, 5 * self.time)},
            tags=["kulturarv", self.kode],
            job_variables={"auto_remove": True, "volumes": [f"/data/{self.kode}:/data:ro"], "mem_limit": "512m"},
        )


for i, (kode, navn) in enumerate(sorted(EIERE.items()), 4):
    Utrulling(kode, navn, time=i).rull_ut()
