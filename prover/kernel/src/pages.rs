//! Large tables in huge pages.

/// Room for `count` values, in huge pages where the system has them: reading a table at random
/// else costs a walk through the page tables an access. A hint, which may be refused.
pub(crate) fn with_capacity<T>(count: usize) -> Vec<T> {
    let room = Vec::with_capacity(count);
    advise(&room);
    room
}

#[cfg(target_os = "linux")]
fn advise<T>(room: &Vec<T>) {
    const PAGE: usize = 4096;
    let (start, bytes) = (room.as_ptr() as usize, room.capacity() * size_of::<T>());
    // Whole pages alone: the system takes no others.
    let (first, end) = (start.next_multiple_of(PAGE), (start + bytes) / PAGE * PAGE);
    if end > first {
        let from = room.as_ptr().wrapping_byte_add(first - start).cast_mut().cast();
        let huge = rustix::mm::Advice::LinuxHugepage;
        // SAFETY: the pages lie within this vector's own allocation, and the advice changes no
        // content. Refused, it leaves a table that is as right and slower.
        let _ = unsafe { rustix::mm::madvise(from, end - first, huge) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &Vec<T>) {}
