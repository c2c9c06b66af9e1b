from datetime import date
from typing import Optional

from prefect import flow


@flow(name="sync-contacts", description="Contacts from the CRM, all of them or what changed.")
def sync_contacts(full: bool = False, since: Optional[date] = None):
    """Not shown: the decorator has a description."""
