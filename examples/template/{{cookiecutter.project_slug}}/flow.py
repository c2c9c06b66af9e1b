"""The flow of this project; `python flow.py` runs it here."""

from prefect import flow, get_run_logger, task


@task
def greeting(name: str) -> str:
    """Makes up what to say."""
    return f"Hello {name}!"


@flow(name={{ cookiecutter.flow_name|tojson }})
def main(name: str = "world") -> str:
    """Says hello.

    Args:
        name: To whom.

    Returns:
        What was said.
    """
    text = greeting(name)
    get_run_logger().info(text)
    return text


if __name__ == "__main__":
    main()
