//! Whether a signature may be committed without its record: never. A measurement of what records cost has to leave them out; it is part of
//! the unit tests, and so is the switch: there is none in a program.

#[cfg(test)]
thread_local! {
    static UNRECORDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// From now on, on this thread.
#[cfg(test)]
pub(crate) fn set(unrecorded: bool) {
    UNRECORDED.set(unrecorded);
}

/// Whether this thread measures signatures without records.
#[cfg(test)]
pub(crate) fn is() -> bool {
    UNRECORDED.get()
}

/// Never.
#[cfg(not(test))]
pub(crate) const fn is() -> bool {
    false
}
