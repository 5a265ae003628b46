//! How many blocks of logs are asked for at once.
//!
//! Nodes serve logs of so many blocks at once, of so many logs, or of so many bytes, and each says
//! in its own way that it was more. So the range is halved on any refusal that less could mend, the
//! one that was served is kept, and it grows again slowly. What is refused for one block alone is
//! refused for another reason.

/// Blocks of logs asked for at once: at first, and at most.
const LOG_BLOCKS_MAX: u64 = 10_000;

/// Ranges served in a row before a larger one is tried, at first.
const SERVED_TO_GROW: u32 = 16;

/// How many blocks of logs a node serves at once, as far as is known.
#[derive(Debug)]
pub struct LogRange {
    /// Asked for next.
    blocks: u64,
    /// The largest that was served since the last refusal below it.
    worked: u64,
    in_a_row: u32,
    to_grow: u32,
}

impl Default for LogRange {
    fn default() -> LogRange {
        let to_grow = SERVED_TO_GROW;
        LogRange { blocks: LOG_BLOCKS_MAX, worked: 0, in_a_row: 0, to_grow }
    }
}

impl LogRange {
    /// To be asked for next.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// So many blocks were served.
    pub fn served(&mut self, asked: u64) {
        // The last range before the head is short and says nothing of longer ones.
        if asked < self.blocks {
            return;
        }
        self.worked = self.worked.max(asked);
        self.in_a_row += 1;
        if self.in_a_row >= self.to_grow {
            self.in_a_row = 0;
            self.blocks = LOG_BLOCKS_MAX.min(self.blocks + self.blocks.div_ceil(4));
        }
    }

    /// The next range is always smaller than `asked`, and at least one block.
    pub fn refused(&mut self, asked: u64, suggested: Option<u64>) {
        self.in_a_row = 0;
        let fits = |blocks: &u64| (1..asked).contains(blocks);
        if fits(&self.worked) {
            // A limit was found by growing: to try again and again would cost a question each time.
            self.to_grow = self.to_grow.saturating_mul(2);
            self.blocks = self.worked;
            return;
        }
        // What worked before is refused now: of logs, a node serves so many and not of so many
        // blocks.
        self.worked = 0;
        self.blocks = suggested.filter(fits).unwrap_or(asked / 2).max(1);
    }
}

/// The number of blocks that a refusal names, as `[0x10, 0x1f]` or as `500 blocks`; it need not be
/// one that is served.
pub fn suggested_blocks(message: &str) -> Option<u64> {
    in_brackets(message).or_else(|| before_blocks(message))
}

fn in_brackets(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("[0x")?;
    let (first, rest) = rest.split_once(',')?;
    let (last, _) = rest.trim_start().strip_prefix("0x")?.split_once(']')?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| digits)
    };
    number(last)?.checked_sub(number(first)?)?.checked_add(1)
}

fn before_blocks(message: &str) -> Option<u64> {
    let words: Vec<&str> = message.split([' ', '-']).collect();
    let number = |text: &str| {
        let plain = text.replace(',', "");
        let (digits, unit) = match plain.strip_suffix(['k', 'K']) {
            Some(thousands) => (thousands, 1000),
            None => (plain.as_str(), 1),
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(unit)
    };
    let named = words.windows(2).filter(|pair| pair[1].starts_with("block"));
    named.filter_map(|pair| number(pair[0])).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_may_name_the_range_that_is_served() {
        for (words, expected) in [
            ("Try with this block range [0x10, 0x1f].", Some(16)),
            ("this block range should work: [0x0, 0x1f4]", Some(501)),
            ("block range is too large, max is 500 blocks", Some(500)),
            ("eth_getLogs requests with up to a 2K block range and no limit", Some(2000)),
            ("ranges over 10,000 blocks are not supported on freetier", Some(10_000)),
            ("you can request up to a 10-block range, or 5 blocks", Some(5)),
            ("query returned more than 10000 results", None),
            ("exceed maximum block range: 5000", None),
            ("[0x20, 0x10]", None),
            ("[0x+1, 0x2]", None),
            ("+5 blocks", None),
            ("99999999999999999999 blocks", None),
            ("", None),
        ] {
            assert_eq!(suggested_blocks(words), expected, "{words}");
        }
    }

    /// Reads `total` blocks from a node that serves at most `most` at once; gives the questions
    /// asked and how many of them were refused.
    fn read(range: &mut LogRange, total: u64, most: u64, suggested: Option<u64>) -> [u64; 2] {
        let (mut done, mut asked, mut refused) = (0, 0, 0);
        while done < total {
            let blocks = range.blocks.min(total - done);
            asked += 1;
            if blocks <= most {
                range.served(blocks);
                done += blocks;
            } else {
                refused += 1;
                range.refused(blocks, suggested);
                assert!(range.blocks >= 1 && range.blocks < blocks, "{range:?}");
            }
        }
        [asked, refused]
    }

    #[test]
    fn a_limit_is_found_in_few_questions_and_tried_rarely_again() {
        for most in [1, 2, 7, 100, 500, 1024, 5000, 9999, 10_000, 50_000] {
            let [asked, refused] = read(&mut LogRange::default(), 1_000_000, most, None);
            let least = 1_000_000_u64.div_ceil(most.min(LOG_BLOCKS_MAX));
            assert!(asked <= 3 * least + 20, "{most}: asked {asked}, at best {least}");
            // To halve 10,000 down to one, and a try to grow after 16, 32, 64 .. questions.
            assert!(refused <= 14 + 16, "{most}: refused {refused}");
        }
        let [_, refused] = read(&mut LogRange::default(), 100_000, 500, Some(500));
        assert!(refused <= 4, "a suggestion is taken: {refused}");
        for wrong in [0, 10_000, u64::MAX] {
            let [asked, _] = read(&mut LogRange::default(), 100_000, 500, Some(wrong));
            assert!(asked < 1000, "a suggestion that helps nothing: {asked}");
        }
    }

    #[test]
    fn what_worked_is_kept_grows_again_and_gives_way() {
        let mut range = LogRange::default();
        read(&mut range, 10_000, 300, None);
        let dense = range.blocks;
        assert!((150..=300).contains(&dense), "{dense}");
        read(&mut range, 10_000_000, u64::MAX, None);
        assert_eq!(range.blocks, LOG_BLOCKS_MAX);
        read(&mut range, 1000, 3, None);
        assert!(range.blocks <= 3, "{}", range.blocks);
    }
}
