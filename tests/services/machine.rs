//! Who may keep the processors busy: a test that measures is not to measure what others do at the same time.
//!
//! Within this process only. Whoever has the machine alone must not start what takes a share, which would wait for ever;
//! the same goes for whoever has a share already.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// A share of the machine, given back on drop.
pub(crate) struct Share {
    _guard: RwLockReadGuard<'static, ()>,
}

/// The machine as a whole, given back on drop.
pub(crate) struct Alone {
    _guard: RwLockWriteGuard<'static, ()>,
}

/// Waits until nobody has the machine alone.
///
/// For what keeps more than one processor busy for many seconds: a server that starts, a worker. Blocks the thread, which
/// a test has for itself.
pub(crate) fn share() -> Share {
    Share {
        // A test that failed with it leaves nothing half done.
        _guard: MACHINE.read().unwrap_or_else(PoisonError::into_inner),
    }
}

/// Waits until nobody has a share, and blocks the thread as [`share`] does.
pub(crate) fn alone() -> Alone {
    Alone {
        _guard: MACHINE.write().unwrap_or_else(PoisonError::into_inner),
    }
}
