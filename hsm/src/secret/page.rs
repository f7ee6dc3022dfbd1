//! The only `unsafe` of this package: a slab of equal slots in one private mapping, with a guard page on each side.
//!
//! May import: rustix, zeroize. Everything built on top (arena, handles) is safe code.
//!
//! # Invariants
//! * A slot index is either in the free list or owned by exactly one [`Slot`]; both live in this file, nowhere else.
//! * A slot is all zeroes whenever it is in the free list.
#![allow(unsafe_code)]

use std::{
    ffi::c_void,
    io,
    marker::PhantomData,
    ptr::{self, NonNull},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mlock, mmap_anonymous, mprotect, munmap,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Slots start at multiples of this, so that a slot holds any type of at most this alignment.
pub(super) const SLOT_ALIGN: usize = 64;

/// The kernel call that failed while a mapping was set up.
#[derive(Debug)]
pub(super) struct MapError {
    pub(super) call: &'static str,
    pub(super) source: io::Error,
}

/// One anonymous private mapping cut into `slots` slots of `size` bytes.
pub(super) struct Slab {
    /// Start of the mapping, which is the first guard page.
    map: NonNull<c_void>,
    map_len: usize,
    /// First byte of slot 0, one page after `map`.
    first: NonNull<u8>,
    size: usize,
    free: Mutex<Vec<u32>>,
}

// SAFETY: `map` and `first` point into a mapping that this value owns until drop. Bytes of it are only reached through `Slot`s,
// each of which owns its own disjoint range; the free list is behind a mutex.
unsafe impl Send for Slab {}
// SAFETY: as above; `&Slab` gives access to nothing but the free list.
unsafe impl Sync for Slab {}

impl Slab {
    /// Maps and protects a slab. The second value lists the protections that the kernel refused (empty: all hold).
    pub(super) fn map(size: usize, slots: u32) -> Result<(Arc<Self>, Vec<MapError>), MapError> {
        let page = rustix::param::page_size();
        let bad = || MapError {
            call: "mmap",
            source: io::ErrorKind::InvalidInput.into(),
        };
        if size == 0 || !size.is_multiple_of(SLOT_ALIGN) || slots == 0 {
            return Err(bad());
        }
        let body = usize::try_from(slots)
            .ok()
            .and_then(|n| n.checked_mul(size))
            .and_then(|n| n.checked_next_multiple_of(page))
            .ok_or_else(bad)?;
        let map_len = page
            .checked_mul(2)
            .and_then(|guards| guards.checked_add(body))
            .ok_or_else(bad)?;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), map_len, ProtFlags::empty(), MapFlags::PRIVATE) }
            .map_err(|e| MapError {
                call: "mmap",
                source: e.into(),
            })?;
        let map = NonNull::new(base).ok_or_else(bad)?;
        // SAFETY: `map_len` is at least two pages, so one page after the start is inside the mapping.
        let first = unsafe { map.cast::<u8>().add(page) };
        // Built before the calls that can fail, so that an early return unmaps.
        let slab = Self {
            map,
            map_len,
            first,
            size,
            free: Mutex::new((0..slots).rev().collect()),
        };
        let body_start = slab.first.as_ptr().cast::<c_void>();
        // SAFETY: the range is the mapping without its two guard pages; nobody has a reference into it yet.
        unsafe { mprotect(body_start, body, MprotectFlags::READ | MprotectFlags::WRITE) }.map_err(|e| {
            MapError {
                call: "mprotect",
                source: e.into(),
            }
        })?;
        let mut refused = Vec::new();
        let mut note = |call, result: rustix::io::Result<()>| {
            if let Err(e) = result {
                refused.push(MapError {
                    call,
                    source: e.into(),
                });
            }
        };
        // SAFETY: same range. DONTDUMP and WIPEONFORK change no byte that this process sees; mlock only pins pages.
        unsafe {
            note(
                "madvise MADV_DONTDUMP",
                madvise(body_start, body, Advice::LinuxDontDump),
            );
            note(
                "madvise MADV_WIPEONFORK",
                madvise(body_start, body, Advice::LinuxWipeOnFork),
            );
            note("mlock", mlock(body_start, body));
        }
        Ok((Arc::new(slab), refused))
    }

    /// Takes a slot, all zeroes; `None` when every slot is in use.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let index = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Slot {
            slab: Arc::clone(self),
            index,
        })
    }

    /// How many slots nobody owns.
    pub(super) fn free_slots(&self) -> usize {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // Every slot holds an `Arc` of the slab, so all of them are back, and therefore zeroed.
        // SAFETY: `map`/`map_len` are what mmap returned, and no slot is left that could reach the mapping.
        // A failing munmap leaves the pages mapped and zero, which harms nobody.
        let _ = unsafe { munmap(self.map.as_ptr(), self.map_len) };
    }
}

/// Sole owner of one slot. Dropping it overwrites the slot, then gives it back.
pub(super) struct Slot {
    slab: Arc<Slab>,
    index: u32,
}

impl Slot {
    fn start(&self) -> NonNull<u8> {
        // SAFETY: `index` came from the free list, so `index < slots` and the whole slot is inside the mapping's body.
        unsafe { self.slab.first.add(self.index as usize * self.slab.size) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the slot is mapped and initialised (the kernel hands out zeroes, `Drop` writes zeroes); this value owns the
        // range alone, and the shared borrow of it lasts as long as the slice.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.slab.size) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, with the exclusive borrow of the sole owner.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.slab.size) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        self.slab
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.index);
    }
}

/// A library's key object that lives in a slot: built once, used in place, dropped and overwritten in place.
pub(crate) struct Placed<T: ZeroizeOnDrop> {
    slot: Slot,
    value: PhantomData<T>,
}

impl<T: ZeroizeOnDrop> Placed<T> {
    /// Compile-time proof that `T` fits the slots it is put into.
    const FITS: () = assert!(
        size_of::<T>() <= super::arena::LARGE && align_of::<T>() <= SLOT_ALIGN,
        "the key object does not fit a large slot"
    );

    /// Builds the value and moves it into `slot`. Callers wrap this in `scrubbed`: the move may leave a copy on the stack.
    pub(super) fn new<E>(mut slot: Slot, build: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        let () = Self::FITS;
        let value = build()?;
        let place = slot.bytes_mut();
        assert!(place.len() >= size_of::<T>(), "only large slots hold key objects");
        // SAFETY: the slot is large enough (asserted) and aligned to `SLOT_ALIGN` (`FITS`), owned by us alone, and holds plain
        // bytes, so that overwriting them drops nothing.
        unsafe { place.as_mut_ptr().cast::<T>().write(value) };
        Ok(Self {
            slot,
            value: PhantomData,
        })
    }

    /// The value, in its slot.
    pub(crate) fn get(&self) -> &T {
        // SAFETY: `new` wrote a `T` at this address; only `drop` ends it; shared borrow of the owner.
        unsafe { &*self.slot.start().as_ptr().cast::<T>() }
    }
}

impl<T: ZeroizeOnDrop> Drop for Placed<T> {
    fn drop(&mut self) {
        // SAFETY: written by `new`, dropped only here; `slot` is a field and overwrites the bytes afterwards.
        unsafe { ptr::drop_in_place(self.slot.start().as_ptr().cast::<T>()) };
    }
}
