//! Samples of one figure over the rounds: median and spread, never a mean.

/// Figures of the same thing, in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// One more.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Of one value.
    pub fn one(value: f64) -> Samples {
        Samples(vec![value])
    }

    /// The middle one; the mean of the two middle ones of an even number; NaN of none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// Least and greatest; NaN of none.
    pub fn spread(&self) -> (f64, f64) {
        let least = self.0.iter().copied().fold(f64::NAN, f64::min);
        (least, self.0.iter().copied().fold(f64::NAN, f64::max))
    }

    /// Ratio of this to `other`, pair by pair where both were measured equally often.
    pub fn ratio(&self, other: &Samples) -> Samples {
        if self.0.len() == other.0.len() {
            return Samples(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect());
        }
        Samples(vec![self.median() / other.median()])
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Samples {
        Samples(values.into_iter().collect())
    }
}

/// The value below which `fraction` of the sorted `values` lie; 0 of none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index rounded for people"
)]
pub fn percentile(sorted: &[u64], fraction: f64) -> u64 {
    let index = (sorted.len() as f64 * fraction) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Contenders forth and back, `rounds` times: `A B C C B A`, so that drift hits all alike.
pub fn in_turns(contenders: usize, rounds: usize) -> impl Iterator<Item = usize> {
    (0..rounds).flat_map(move |_| (0..contenders).chain((0..contenders).rev()))
}
