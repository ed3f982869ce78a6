//! G5: the client said that it fetches ahead of a person, or to show a preview.

const WORDS: [&[u8]; 3] = [b"prefetch", b"prerender", b"preview"];

/// Whether `purpose` contains one of the words, in any case.
pub fn is_not_a_person(purpose: &[u8]) -> bool {
    let contains =
        |word: &[u8]| purpose.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    !purpose.is_empty() && WORDS.into_iter().any(contains)
}
