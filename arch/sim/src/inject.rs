//! Injected failures.

/// The duration of an injected failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only the call that was named fails.
    Once,
    /// The call that was named fails, and every later one too.
    FromThenOn,
}

/// An injected failure: the n-th call fails.
#[derive(Debug, Default)]
pub(crate) struct Injection {
    armed: Option<(usize, Mode)>,
    asked: usize,
    injected: usize,
}

impl Injection {
    /// From now on counts calls anew and fails the `nth`, counted from 1.
    pub(crate) fn arm(&mut self, nth: usize, mode: Mode) {
        *self = Self {
            armed: Some((nth, mode)),
            asked: 0,
            injected: 0,
        };
    }

    /// Fails no more calls; the count of injected failures stays readable.
    pub(crate) fn disarm(&mut self) {
        self.armed = None;
    }

    /// Counts a call. Returns whether it is to fail.
    pub(crate) fn fails(&mut self) -> bool {
        let Some((nth, mode)) = self.armed else {
            return false;
        };
        self.asked += 1;
        let fails = match mode {
            Mode::Once => self.asked == nth,
            Mode::FromThenOn => self.asked >= nth,
        };
        self.injected += usize::from(fails);
        fails
    }

    /// Calls failed since the last arming.
    pub(crate) fn injected(&self) -> usize {
        self.injected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(nth: usize, mode: Mode) -> [bool; 5] {
        let mut injection = Injection::default();
        assert!(!injection.fails(), "nothing is armed yet");
        injection.arm(nth, mode);
        core::array::from_fn(|_| injection.fails())
    }

    #[test]
    fn the_nth_call_fails_once_or_from_then_on() {
        assert_eq!(pattern(1, Mode::Once), [true, false, false, false, false]);
        assert_eq!(pattern(3, Mode::Once), [false, false, true, false, false]);
        assert_eq!(
            pattern(3, Mode::FromThenOn),
            [false, false, true, true, true]
        );
        assert_eq!(pattern(9, Mode::FromThenOn), [false; 5]);
    }

    #[test]
    fn disarming_stops_failures_and_keeps_their_count() {
        let mut injection = Injection::default();
        injection.arm(1, Mode::FromThenOn);
        assert!(injection.fails());
        injection.disarm();
        assert!(!injection.fails());
        assert_eq!(injection.injected(), 1);
    }
}
