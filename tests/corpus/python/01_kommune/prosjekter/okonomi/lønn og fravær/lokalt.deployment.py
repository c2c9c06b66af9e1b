from fravær import samle_fravær

if __name__ == "__main__":
    samle_fravær.serve(
        name="lokalt",
        cron="0 12 * * *",
        tags=["utvikling"],
        parameters={"uke": 27},
        global_limit=1,
        pause_on_shutdown=False,
    )
