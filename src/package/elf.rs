//! Whether a program runs in an image that has nothing else: is it static, and for x86-64?
//!
//! # Invariants
//! - Pure: judged by the first [`HEAD`] bytes of the file, whatever is in them.

/// So many bytes are looked at: the header, and the program headers behind it.
pub(super) const HEAD: usize = 4 << 10;
const PT_INTERP: u64 = 3;

/// Why this is no static ELF program for x86-64, if it is none.
pub(super) fn judge(head: &[u8]) -> Result<(), &'static str> {
    const TORN: &str = "is a damaged ELF program";
    if !head.starts_with(b"\x7fELF") {
        return Err("is no ELF program");
    }
    if head.get(4..6) != Some(&[2, 1]) || number(head, 18, 2) != Some(62) {
        return Err("is a program for another processor than x86-64");
    }
    if !matches!(number(head, 16, 2), Some(2 | 3)) {
        return Err("is an ELF file that is no program");
    }
    let at = |from, length| number(head, from, length).ok_or(TORN);
    let (first, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
    if size < 56 || count == 0 {
        return Err(TORN);
    }
    for header in 0..count {
        let from = header
            .checked_mul(size)
            .and_then(|at| at.checked_add(first));
        match from.and_then(|from| number(head, from, 4)) {
            Some(PT_INTERP) => {
                return Err("is linked dynamically: it needs a loader and libraries");
            }
            Some(_) => {}
            None => return Err("has its program headers where nobody looks for them"),
        }
    }
    Ok(())
}

/// The little-endian number there.
fn number(head: &[u8], from: u64, length: usize) -> Option<u64> {
    let from = usize::try_from(from).ok()?;
    let bytes = head.get(from..from.checked_add(length)?)?;
    let number = bytes.iter().rev();
    Some(number.fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::packer::elf;
    use super::*;

    #[test]
    fn only_a_static_program_for_x86_64_is_good() {
        assert_eq!(judge(&elf(&[1, 2])), Ok(()));
        let bent = |at: usize, byte: u8| {
            let mut bent = elf(&[1]);
            bent[at] = byte;
            bent
        };
        for (head, why) in [
            (elf(&[6, 3, 1]), "dynamically"),
            (b"#!/bin/sh\n".to_vec(), "no ELF"),
            (Vec::new(), "no ELF"),
            (b"\x7fELF".to_vec(), "another processor"),
            (bent(4, 1), "another processor"),
            (bent(5, 2), "another processor"),
            (bent(18, 183), "another processor"),
            (bent(16, 1), "no program"),
            (elf(&[]), "damaged"),
            (bent(54, 1), "damaged"),
            (bent(39, 0xff), "where nobody looks"),
            (bent(57, 0xff), "where nobody looks"),
        ] {
            assert!(judge(&head).unwrap_err().contains(why), "{why}");
        }
        let whole = elf(&[1, 2]);
        for cut in 0..whole.len() - 52 {
            assert!(judge(&whole[..cut]).is_err(), "{cut}");
        }
    }

    /// This test itself is a program of this machine, and `/bin/true` of most.
    #[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
    #[test]
    fn a_program_that_needs_the_systems_libraries_is_not_good() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let why = judge(&program[..HEAD]).unwrap_err();
        assert!(why.contains("dynamically"), "{why}");
    }
}
