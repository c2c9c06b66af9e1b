//! Places in sequences, as an index or a slice names them.

/// A Python index as one from the front, if it is in range.
pub(super) fn place(index: i128, length: usize) -> Option<usize> {
    let length = i128::try_from(length).ok()?;
    let index = if index < 0 {
        index.checked_add(length)?
    } else {
        index
    };
    (0..length)
        .contains(&index)
        .then(|| usize::try_from(index).ok())
        .flatten()
}

/// The places that a slice takes; none for a step of 0, which Python refuses.
pub(super) fn picks(
    [lower, upper, step]: [Option<i128>; 3],
    length: usize,
) -> impl Iterator<Item = usize> {
    let length = i128::try_from(length).unwrap_or(i128::MAX);
    let step = step.unwrap_or(1).clamp(-length - 1, length + 1);
    let (low, high) = if step < 0 {
        (-1, length - 1)
    } else {
        (0, length)
    };
    let bound = |given: Option<i128>, default: i128| match given {
        None => default,
        Some(index) if index < 0 => index.saturating_add(length).clamp(low, high),
        Some(index) => index.clamp(low, high),
    };
    let (start, end) = if step < 0 {
        (bound(lower, high), bound(upper, low))
    } else {
        (bound(lower, low), bound(upper, high))
    };
    let mut at = start;
    std::iter::from_fn(move || {
        let inside = (step > 0 && at < end) || (step < 0 && at > end);
        inside.then(|| {
            let here = at;
            at += step;
            usize::try_from(here).unwrap_or(0)
        })
    })
}
