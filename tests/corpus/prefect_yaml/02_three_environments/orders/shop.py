def fetch(limit):
    for number in range(limit or 0):
        yield {"order": number}
