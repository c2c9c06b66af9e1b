from prefect import flow


@flow(name="sync-vendor", log_prints=True)
def sync_vendor(vendor: str, full: bool = False):
    """Copies the catalogue of one vendor."""
    print(vendor, full)
