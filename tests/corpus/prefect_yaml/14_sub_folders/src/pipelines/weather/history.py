from typing import List, Optional, Union

from prefect import flow


@flow
def load_history(stations: List[str], since: Optional[str] = None):
    pass


@flow(name="prune-history")
def prune_history(keep: Union[int, str] = 30):
    pass
