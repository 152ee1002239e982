//! When silence means that something is wrong: a state machine over looks at a [`super::Pulse`].
//!
//! ```text
//!             silent for long enough             a beat
//!   listening ──────────────────────▶ missing ──────────▶ listening
//! ```
//!
//! Silence is known only while somebody listened: what counts is time on the monotonic clock between two looks. A start, a
//! pause of the machine, a beat that was refused or a jump of the wall clock (after the machine slept it is all that is to
//! be seen) break it into stretches. It is long enough after `every` in one stretch, or after twice `every` in all: a router
//! that restarts every few minutes has to tell as well, and a single restart must not make it tell any earlier.

use std::time::Duration;

use super::{Definition, Heard};
use crate::clock::{Clock, Timestamp, after, between};

/// The time between two looks, at most.
const LOOK: Duration = Duration::from_secs(10);
/// At least; a store that cannot keep anything is not asked more often.
const SHORTEST: Duration = Duration::from_secs(1);
/// A longer one than so many looks was a pause.
const PAUSE: u32 = 3;
/// What is known is kept after this long at first, then after as long as it took so far, at last every so often: a run that
/// lasts seconds counts, and a long one writes once a minute.
const KEPT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// Two episodes of one alert must not begin and end at the same moment.
const MICROSECOND: Duration = Duration::from_micros(1);

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub now: Timestamp,
    /// [`Clock::monotonic`].
    pub monotonic: Duration,
}

impl Moment {
    /// The present.
    #[must_use]
    pub fn of(clock: &dyn Clock) -> Self {
        Self { now: clock.now(), monotonic: clock.monotonic() }
    }
}

/// What is remembered of a heartbeat over restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The matchers and `every` that the silence was measured with.
    pub terms: String,
    /// When the silence began: with the last beat, or when the heartbeat came into routes.yaml.
    pub since: Timestamp,
    /// For how much of it somebody listened.
    pub silent: Duration,
    /// The last beat, if there was any: when it came, and who sent it.
    pub heard: Option<(Timestamp, String)>,
    /// What was last told.
    pub told: Option<Told>,
}

/// An episode of the alert about a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its startsAt: when the silence began.
    pub started: Timestamp,
    /// Its endsAt, once there was a beat.
    pub ended: Option<Timestamp>,
}

impl Told {
    /// The same, ended at `at` if it has not ended yet.
    #[must_use]
    pub fn end(self, at: Timestamp) -> Self {
        // Never before its beginning, however the clock was set meanwhile: such a resolve would be taken for a stale one.
        let ended = self.ended.unwrap_or_else(|| at.max(after(self.started, MICROSECOND)));
        Self { ended: Some(ended), ..self }
    }
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has been silent for too long.
    Missing,
    /// There was a beat again.
    Returned,
}

/// Watches over one heartbeat.
#[derive(Debug)]
pub struct Watch {
    every: Duration,
    record: Record,
    /// Silence in one stretch.
    run: Duration,
    began: Duration,
    last: Moment,
    /// When the record was last kept, and whether something has to be kept at once.
    kept: Duration,
    is_new: bool,
}

impl Watch {
    /// Begins to listen, with what is known from before.
    #[must_use]
    pub fn new(definition: &Definition, record: Option<Record>, at: Moment) -> Self {
        let terms = definition.terms();
        let fresh = Record { terms, since: at.now, silent: Duration::ZERO, heard: None, told: None };
        let is_new = record.is_none();
        let (every, began) = (definition.every, at.monotonic);
        let record = record.unwrap_or(fresh);
        let mut watch = Self { every, record, run: Duration::ZERO, began, last: at, kept: began, is_new };
        watch.follow(definition);
        watch
    }

    /// Takes over what routes.yaml says now. With other matchers, or another `every`, silence counts anew.
    pub fn follow(&mut self, definition: &Definition) {
        let terms = definition.terms();
        self.every = definition.every;
        if self.record.terms != terms {
            self.record.terms = terms;
            self.run = Duration::ZERO;
            self.is_new = true;
            if !self.is_missing() {
                self.record.silent = Duration::ZERO;
                self.record.since = self.last.now;
            }
        }
    }

    /// Looks at what was heard since the last look.
    pub fn look(&mut self, heard: Heard, at: Moment) -> Option<Change> {
        let passed = at.monotonic.saturating_sub(self.last.monotonic);
        let pause = self.interval() * PAUSE;
        let is_pause = passed > pause || between(self.last.now, at.now) > passed + pause;
        self.last = at;
        if let Some(beat) = heard.beat {
            let silent = if is_pause { Duration::ZERO } else { at.monotonic.saturating_sub(beat.at.monotonic) };
            self.run = silent;
            let was_missing = self.is_missing();
            let told = self.record.told.map(|told| told.end(beat.at.now));
            // Otherwise a crash would bring the silence back.
            self.is_new |= was_missing || self.record.silent >= KEPT.1;
            let terms = std::mem::take(&mut self.record.terms);
            self.record = Record { terms, since: beat.at.now, silent, heard: Some((beat.at.now, beat.from)), told };
            return was_missing.then_some(Change::Returned);
        }
        if heard.refused || is_pause {
            // It could not have been heard.
            self.run = Duration::ZERO;
        } else {
            self.run += passed;
            self.record.silent += passed;
        }
        if self.is_missing() || !self.left().is_zero() {
            return None;
        }
        let ended = self.record.told.and_then(|told| told.ended);
        // After a clock was set back the silence may seem to have begun before the last episode ended, or later than now.
        let started = self.record.since.min(at.now);
        let started = ended.map_or(started, |ended| started.max(after(ended, MICROSECOND)));
        self.record.told = Some(Told { started, ended: None });
        self.is_new = true;
        Some(Change::Missing)
    }

    /// Whether it has been told that it is missing, and not yet that it is back.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.record.told.is_some_and(|told| told.ended.is_none())
    }

    /// What is to be remembered.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether the record has to be kept now.
    #[must_use]
    pub fn is_to_be_kept(&self) -> bool {
        self.is_new || self.until_kept().is_zero()
    }

    /// The record was kept.
    pub fn was_kept(&mut self) {
        self.is_new = false;
        self.kept = self.last.monotonic;
    }

    /// How long the next look can wait.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let left = if self.is_missing() { LOOK } else { self.left() };
        self.interval().min(left).min(self.until_kept()).max(SHORTEST)
    }

    fn interval(&self) -> Duration {
        LOOK.min(self.every / 4)
    }

    /// How much more silence is missing.
    fn left(&self) -> Duration {
        let in_all = self.every.saturating_mul(2).saturating_sub(self.record.silent);
        self.every.saturating_sub(self.run).min(in_all)
    }

    fn until_kept(&self) -> Duration {
        let next = self.kept.saturating_sub(self.began).clamp(KEPT.0, KEPT.1);
        next.saturating_sub(self.last.monotonic.saturating_sub(self.kept))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::heartbeat::Beat;
    use crate::route::matcher;

    const EVERY: u64 = 300;

    fn definition(every: u64) -> Definition {
        let matchers = matcher::parse("alertname=Watchdog").unwrap().matchers;
        let (name, every) = ("one".to_owned(), Duration::from_secs(every));
        Definition { name, matchers, every, receivers: vec!["oncall".into()] }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A watch, the clocks around it, and a disk.
    struct Life {
        watch: Watch,
        every: u64,
        now: Timestamp,
        monotonic: Duration,
        disk: Record,
        heard: Heard,
        /// What really happened: silence since the last break of it, and in all since the last beat.
        run: Duration,
        silent: Duration,
    }

    impl Life {
        fn begin() -> Self {
            let (now, monotonic) = (Timestamp::from_second(1_000_000).unwrap(), Duration::ZERO);
            let watch = Watch::new(&definition(EVERY), None, Moment { now, monotonic });
            let disk = watch.record().clone();
            let (run, silent) = (Duration::ZERO, Duration::ZERO);
            Self { watch, every: EVERY, now, monotonic, disk, heard: Heard::default(), run, silent }
        }

        fn at(&self) -> Moment {
            Moment { now: self.now, monotonic: self.monotonic }
        }

        fn advance(&mut self, by: Duration) {
            self.now = after(self.now, by);
            self.monotonic += by;
        }

        fn look(&mut self) -> Option<Change> {
            let change = self.watch.look(std::mem::take(&mut self.heard), self.at());
            if self.watch.is_to_be_kept() {
                self.disk = self.watch.record().clone();
                self.watch.was_kept();
            }
            change
        }

        /// Lets time pass as the timer does; what was found, and how many seconds from now.
        fn quiet(&mut self, seconds: u64) -> Vec<(Change, u64)> {
            let (begin, end) = (self.monotonic, self.monotonic + secs(seconds));
            let mut found = Vec::new();
            loop {
                found.extend(self.look().map(|change| (change, self.monotonic.saturating_sub(begin).as_secs())));
                if self.monotonic >= end {
                    return found;
                }
                let step = self.watch.wait().min(end.saturating_sub(self.monotonic));
                self.advance(step);
                (self.run, self.silent) = (self.run + step, self.silent + step);
            }
        }

        fn beat(&mut self) {
            self.heard.beat = Some(Beat { at: self.at(), from: "am".to_owned() });
            (self.run, self.silent) = (Duration::ZERO, Duration::ZERO);
        }

        fn refuse(&mut self) {
            self.heard.refused = true;
            self.run = Duration::ZERO;
        }

        /// The machine stands still.
        fn pause(&mut self, seconds: u64) {
            self.advance(secs(seconds));
            self.run = Duration::ZERO;
        }

        /// A kill, and a start some time later.
        fn crash(&mut self, down: u64) {
            self.now = after(self.now, secs(down));
            self.monotonic = Duration::from_secs(7);
            self.watch = Watch::new(&definition(self.every), Some(self.disk.clone()), self.at());
            self.heard = Heard::default();
            self.run = Duration::ZERO;
        }

        fn set_clock(&mut self, by: i64) {
            self.now = self.now.checked_add(jiff::SignedDuration::from_secs(by)).unwrap();
        }

        fn told(&self) -> Told {
            self.watch.record().told.unwrap()
        }
    }

    const MISSING: Change = Change::Missing;
    const RETURNED: Change = Change::Returned;

    #[test]
    fn silence_of_every_is_missing_once_and_a_beat_ends_it() {
        let mut life = Life::begin();
        let began = life.now;
        assert_eq!(life.quiet(1000), [(MISSING, 300)]);
        assert_eq!(life.told(), Told { started: began, ended: None });
        life.beat();
        let heard = life.now;
        assert_eq!(life.quiet(100), [(RETURNED, 0)]);
        assert_eq!(life.told(), Told { started: began, ended: Some(heard) });
        assert_eq!(life.watch.record().heard, Some((heard, "am".to_owned())));
        // The next episode begins after the end of the last one, though both are the same beat.
        assert_eq!(life.quiet(1000), [(MISSING, 200)]);
        assert_eq!(life.told(), Told { started: after(heard, MICROSECOND), ended: None });
    }

    #[test]
    fn beats_in_time_keep_it_quiet() {
        let mut life = Life::begin();
        for _ in 0..20 {
            assert_eq!(life.quiet(299), []);
            life.beat();
        }
    }

    #[test]
    fn after_a_start_nobody_is_told_before_every_has_passed() {
        let mut life = Life::begin();
        life.beat();
        assert_eq!(life.quiet(290), []);
        life.crash(3600);
        assert_eq!(life.quiet(1000), [(MISSING, 300)]);
    }

    #[test]
    fn a_crash_loop_tells_in_the_end() {
        // Seconds that each run lasts, and listening until it is told: twice `every`, and what a crash has made forgotten.
        for (up, least, most) in [(120, 600, 1200), (20, 600, 1200), (6, 600, 800)] {
            let mut life = Life::begin();
            let mut listened = 0;
            while life.quiet(up).is_empty() {
                listened += up;
                assert!(listened < most, "runs of {up} s");
                life.crash(30);
            }
            assert!(listened + up >= least, "runs of {up} s: {listened}");
        }
    }

    #[test]
    fn a_restart_while_it_is_missing_neither_tells_again_nor_forgets() {
        let mut life = Life::begin();
        assert_eq!(life.quiet(300), [(MISSING, 300)]);
        let told = life.told();
        for _ in 0..3 {
            life.crash(60);
            assert_eq!(life.quiet(700), []);
            assert_eq!(life.told(), told);
        }
        life.crash(60);
        life.beat();
        assert_eq!(life.quiet(20), [(RETURNED, 0)]);
        life.crash(60);
        assert_eq!(life.quiet(20), []);
        assert!(!life.watch.is_missing());
    }

    #[test]
    fn a_pause_of_the_machine_is_no_silence() {
        let mut life = Life::begin();
        life.beat();
        assert_eq!(life.quiet(290), []);
        life.pause(7200);
        assert_eq!(life.quiet(1000), [(MISSING, 300)]);
        // A machine that slept: its monotonic clock slept too.
        let mut life = Life::begin();
        life.beat();
        assert_eq!(life.quiet(290), []);
        life.set_clock(7200);
        assert_eq!(life.quiet(1000), [(MISSING, 300)]);
    }

    #[test]
    fn a_clock_that_is_set_neither_tells_early_nor_keeps_it_from_telling() {
        for by in [-86_400, -1, 1, 86_400] {
            let mut life = Life::begin();
            for _ in 0..5 {
                life.beat();
                assert_eq!(life.quiet(200), [], "{by}");
                life.set_clock(by);
                assert_eq!(life.quiet(90), [], "{by}");
            }
            let found = life.quiet(300);
            assert!(found.len() == 1 && found[0].0 == MISSING, "{by}: {found:?}");
            life.set_clock(by);
            life.beat();
            assert_eq!(life.quiet(1), [(RETURNED, 0)], "{by}");
            let first = life.told();
            assert!(first.ended > Some(first.started), "{by}: a stale resolve");
            life.set_clock(by);
            assert_eq!(life.quiet(310).len(), 1, "{by}");
            assert!(Some(life.told().started) > first.ended, "{by}: a stale episode would not be told at once");
        }
    }

    #[test]
    fn a_beat_that_was_refused_is_none_and_the_silence_around_it_does_not_count() {
        let mut life = Life::begin();
        life.beat();
        assert_eq!(life.quiet(250), []);
        life.refuse();
        assert_eq!(life.quiet(1000), [(MISSING, 300)]);
        life.refuse();
        assert_eq!(life.quiet(100), []);
        assert!(life.watch.is_missing());
    }

    #[test]
    fn other_terms_begin_anew_and_what_is_missing_stays_so() {
        let mut life = Life::begin();
        life.beat();
        assert_eq!(life.quiet(290), []);
        life.every = 60;
        life.watch.follow(&definition(60));
        assert_eq!(life.quiet(200), [(MISSING, 60)]);
        life.watch.follow(&definition(86_400));
        assert_eq!(life.quiet(200), []);
        assert!(life.watch.is_missing());
        life.watch.follow(&definition(300));
        life.beat();
        assert_eq!(life.quiet(100), [(RETURNED, 0)]);
        life.watch.follow(&definition(300));
        assert_eq!(life.quiet(300), [(MISSING, 200)], "the same terms change nothing");
        // Over a restart as well.
        let mut life = Life::begin();
        assert_eq!(life.quiet(290), []);
        life.every = 20;
        life.crash(1);
        assert_eq!(life.quiet(100), [(MISSING, 20)]);
    }

    #[test]
    fn is_kept_seldom_and_soon() {
        let mut life = Life::begin();
        let mut kept = Vec::new();
        while life.monotonic < secs(400) {
            life.watch.look(Heard::default(), life.at());
            if life.watch.is_to_be_kept() {
                kept.push(life.monotonic.as_secs());
                life.watch.was_kept();
            }
            let wait = life.watch.wait();
            life.advance(wait);
        }
        // Twice at first, as it is new, and once because it is told.
        assert_eq!(kept, [0, 5, 10, 20, 40, 80, 140, 200, 260, 300, 360]);
    }

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Quiet(u64),
        Beat,
        Refuse,
        Pause(u64),
        Crash(u64),
        Clock(i64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1_u64..400).prop_map(Event::Quiet),
            (1_u64..60).prop_map(Event::Quiet),
            Just(Event::Beat),
            Just(Event::Refuse),
            (31_u64..5000).prop_map(Event::Pause),
            (0_u64..5000).prop_map(Event::Crash),
            (-5000_i64..5000).prop_map(Event::Clock),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn tells_only_of_silence_and_always_of_silence(events in prop::collection::vec(event(), 0..40)) {
            let mut life = Life::begin();
            for event in events {
                match event {
                    Event::Quiet(seconds) => {
                        let was_missing = life.watch.is_missing();
                        for _ in 0..seconds {
                            let found = life.quiet(1);
                            if found.iter().any(|(change, _)| *change == MISSING) {
                                // A crash may have brought back a minute of silence that a beat had ended.
                                let enough = life.run >= secs(EVERY) || life.silent + KEPT.1 >= secs(2 * EVERY);
                                prop_assert!(enough, "{:?} in one, {:?} in all", life.run, life.silent);
                                prop_assert!(!was_missing, "told twice");
                            }
                        }
                    }
                    Event::Beat => {
                        life.beat();
                        life.look();
                    }
                    Event::Refuse => life.refuse(),
                    Event::Pause(seconds) => life.pause(seconds),
                    Event::Crash(down) => life.crash(down),
                    Event::Clock(by) => life.set_clock(by),
                }
            }
            life.quiet(EVERY + 2 * LOOK.as_secs());
            prop_assert!(life.watch.is_missing());
        }
    }
}
