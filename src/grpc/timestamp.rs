//! Times of messages.

use prost_types::Timestamp;

use crate::domain::{Invalid, InvalidReason};

/// The years 1 to 9999, which the type supports.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOS: std::ops::Range<i32> = 0..1_000_000_000;

/// `None` for a time outside of the years 1 to 9999.
pub(super) fn from_ms(unix_ms: i64) -> Option<Timestamp> {
    let seconds = unix_ms.div_euclid(1000);
    let nanos = i32::try_from(unix_ms.rem_euclid(1000) * 1_000_000).ok()?;
    SECONDS.contains(&seconds).then_some(Timestamp { seconds, nanos })
}

/// `None` for a time outside of the years 1 to 9999.
pub(super) fn from_seconds(seconds: i64) -> Option<Timestamp> {
    SECONDS.contains(&seconds).then_some(Timestamp { seconds, nanos: 0 })
}

/// In seconds since the Unix epoch.
pub(super) fn whole_seconds(time: Timestamp) -> Result<i64, Invalid> {
    let Timestamp { seconds, nanos } = valid(time)?;
    if nanos == 0 { Ok(seconds) } else { Err("must be whole seconds: nanos must be 0".into()) }
}

/// In milliseconds since the Unix epoch, without parts of one.
pub(super) fn milliseconds(time: Timestamp) -> Result<i64, Invalid> {
    let Timestamp { seconds, nanos } = valid(time)?;
    Ok(seconds * 1000 + i64::from(nanos / 1_000_000))
}

fn valid(time: Timestamp) -> Result<Timestamp, Invalid> {
    if !NANOS.contains(&time.nanos) {
        Err("must have nanos from 0 to 999,999,999".into())
    } else if SECONDS.contains(&time.seconds) {
        Ok(time)
    } else {
        Err(Invalid::new(InvalidReason::OutOfRange, "must be in the years 1 to 9999"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_seconds_and_nanoseconds() {
        let parts = |ms| from_ms(ms).map(|time| (time.seconds, time.nanos));
        assert_eq!(parts(1_597_973_312_345), Some((1_597_973_312, 345_000_000)));
        assert_eq!(parts(-1), Some((-1, 999_000_000)));
        assert_eq!((parts(i64::MAX), parts(i64::MIN)), (None, None));
        assert_eq!((from_seconds(i64::MAX), from_seconds(0)), (None, Some(Timestamp::default())));
    }

    #[test]
    fn a_time_of_a_request_is_in_the_range_of_its_type() {
        let time = |seconds, nanos| Timestamp { seconds, nanos };
        assert_eq!(milliseconds(time(-1, 999_999_999)), Ok(-1));
        assert_eq!(whole_seconds(time(1_597_973_312, 0)), Ok(1_597_973_312));
        for (seconds, nanos, reason) in [
            (0, 1, InvalidReason::Malformed),
            (0, -1, InvalidReason::Malformed),
            (0, 1_000_000_000, InvalidReason::Malformed),
            (i64::MAX, 0, InvalidReason::OutOfRange),
            (i64::MIN, 0, InvalidReason::OutOfRange),
        ] {
            assert_eq!(whole_seconds(time(seconds, nanos)).unwrap_err().reason, reason);
        }
        assert!(milliseconds(time(i64::MAX, 0)).is_err());
    }
}
