//! Who goes when all places are taken; who comes in, and how soon. Time is paused.

use tokio::task::JoinSet;

use super::*;
use crate::http::connection::Connection;

const OLD: Duration = Duration::from_secs(3600);

/// What is open, oldest first: the last number of the address, what is known, what happens.
fn chosen(open: &[(u8, Standing, Doing)]) -> Option<usize> {
    let began = Instant::now();
    let state = |(at, (address, standing, doing)): (usize, &(u8, Standing, Doing))| {
        let place = Place::new(IpAddr::from([192, 0, 2, *address]));
        let age = Duration::from_secs(u64::try_from(at).unwrap());
        let mut now = place.now();
        (now.standing, now.doing, now.since) = (*standing, *doing, began + age);
        (at as u64, place.network, now)
    };
    let chosen = choose(open.iter().enumerate().map(state), began + OLD);
    chosen.ok().map(|id| usize::try_from(id).unwrap())
}

#[test]
fn whoever_is_missed_least_goes() {
    use Doing::{Body, Head, HeldBack, Working};
    use Standing::{Distrusted, Trusted, Unknown};
    // Refused credentials first, whatever is older; the oldest of them.
    assert_eq!(
        chosen(&[(1, Unknown, Head), (2, Trusted, Head), (3, Distrusted, HeldBack), (4, Distrusted, Head)]),
        Some(2)
    );
    // Then a stranger who waits, the oldest.
    assert_eq!(chosen(&[(1, Trusted, Head), (2, Unknown, Body), (3, Unknown, Head)]), Some(1));
    // From the address with most of them.
    assert_eq!(chosen(&[(1, Unknown, Head), (2, Unknown, Head), (3, Trusted, Head), (2, Unknown, Body)]), Some(1));
    // Then who is known: a body that does not get on, then the one that has been idle longest, then a body that has begun.
    assert_eq!(chosen(&[(1, Trusted, Head), (2, Trusted, Body), (3, Trusted, Body)]), Some(1));
    assert_eq!(chosen(&[(1, Trusted, Head), (2, Trusted, Head), (3, Trusted, Working)]), Some(0));
    assert!([(Body, 1, 2), (Body, 2, 0), (Head, 2, 1)].into_iter().all(|(doing, age, expected)| {
        let now = Instant::now();
        worth(doing, now, now + Duration::from_secs(age)) == expected
    }));
    assert_eq!(chosen(&[(1, Trusted, Body), (2, Trusted, Working)]), Some(0));
    // Never one that is being worked for.
    assert_eq!(chosen(&[(1, Unknown, Working), (2, Trusted, Working), (3, Distrusted, Working)]), None);
    assert_eq!(chosen(&[]), None);
}

#[test]
fn half_a_body_that_trickles_goes_before_strangers_who_have_just_come() {
    let began = Instant::now();
    let open = |body: Duration| {
        [(0, Standing::Unknown, Doing::Head, OLD), (1, Standing::Trusted, Doing::Body, OLD.saturating_sub(body))].map(
            |(id, standing, doing, age)| {
                let place = Place::new(IpAddr::from([192, 0, 2, 1]));
                let mut now = place.now();
                (now.standing, now.doing, now.since) = (standing, doing, began + age);
                (id, place.network, now)
            },
        )
    };
    assert_eq!(choose(open(SLOW_BODY).into_iter(), began + OLD), Ok(1));
    // One that is on its way stays, and the stranger has his moment.
    assert_eq!(choose(open(Duration::from_secs(1)).into_iter(), began + OLD), Err(began + OLD + GRACE));
}

/// A room, and those in it, who go when they have to.
struct Room {
    places: Arc<Places>,
    metrics: Arc<Metrics>,
    guests: JoinSet<()>,
}

impl Room {
    fn of(count: usize) -> Self {
        let metrics = Arc::new(Metrics::new());
        Self { places: Arc::new(Places::new(count, metrics.clone())), metrics, guests: JoinSet::new() }
    }

    /// Somebody comes; the place, and how long that took.
    async fn enter(&mut self, address: u8) -> (Arc<Place>, Duration) {
        let began = Instant::now();
        let seat = self.places.enter(SocketAddr::from(([192, 0, 2, address], 9))).await;
        let place = seat.place.clone();
        self.guests.spawn(async move {
            seat.place.evicted.cancelled().await;
            drop(seat);
        });
        (place, began.elapsed())
    }

    /// From each of these addresses somebody comes.
    async fn fill(&mut self, addresses: impl IntoIterator<Item = u8>) -> Vec<Arc<Place>> {
        let mut places = Vec::new();
        for address in addresses {
            places.push(self.enter(address).await.0);
        }
        places
    }

    fn metric(&self, line: &str) -> bool {
        let text = self.metrics.scrape(None, crate::metrics::Format::Classic).unwrap();
        text.lines().any(|found| found == line)
    }
}

fn connection(place: &Arc<Place>) -> Connection {
    Connection { peer: ([192, 0, 2, 1], 9).into(), secure: false, certificate: None, place: place.clone() }
}

#[tokio::test(start_paused = true)]
async fn who_comes_is_let_in_at_once_if_all_who_are_there_are_silent() {
    let mut room = Room::of(3);
    room.fill(1..=3).await;
    tokio::time::advance(GRACE).await;
    assert_eq!(room.enter(4).await.1, Duration::ZERO);
    assert!(room.metric("alertrouter_connections 3") && room.metric("alertrouter_connections_evicted_total 1"));
    room.guests.shutdown().await;
    assert!(room.metric("alertrouter_connections 0"));
}

#[tokio::test(start_paused = true)]
async fn nobody_loses_a_place_before_there_was_time_to_say_something() {
    let mut room = Room::of(3);
    let honest = &room.fill([2, 1, 1]).await[0];
    // A flood from another address, which comes back as soon as it is turned out.
    let began = Instant::now();
    room.fill([1; 10]).await;
    assert_eq!(began.elapsed(), 5 * GRACE);
    assert!(!honest.evicted.is_cancelled(), "it has to go for a flood from elsewhere");
}

#[tokio::test(start_paused = true)]
async fn strangers_who_go_on_asking_do_not_keep_their_places_by_that() {
    let mut room = Room::of(3);
    let strangers = room.fill([1; 3]).await;
    let probes = async {
        loop {
            for place in &strangers {
                if place.asked() {
                    place.answered();
                }
            }
            let _ = tokio::time::timeout(GRACE / 5, std::future::pending::<()>()).await;
        }
    };
    let entered = tokio::select! {
        entered = tokio::time::timeout(10 * GRACE, room.enter(2)) => entered,
        () = probes => return,
    };
    assert_eq!(entered.ok().map(|(_, waited)| waited), Some(GRACE));
}

#[tokio::test(start_paused = true)]
async fn who_is_known_stays_while_strangers_come_and_go() {
    let mut room = Room::of(3);
    let known = connection(&room.fill(1..=3).await[0]);
    assert!(known.place.asked());
    known.trust();
    known.place.answered();
    tokio::time::advance(OLD).await;
    room.fill([9; 10]).await;
    assert!(!known.place.evicted.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_held_back_for_a_while_even_then() {
    let mut room = Room::of(2);
    let places = room.fill(1..=2).await;
    tokio::time::advance(OLD).await;
    assert!(places[0].asked());
    connection(&places[0]).distrust();
    assert_eq!(room.enter(3).await.1, Duration::ZERO);
    assert!(places[1].evicted.is_cancelled() && !places[0].evicted.is_cancelled());
    tokio::time::advance(GRACE).await;
    room.enter(4).await;
    assert!(places[0].evicted.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn while_all_are_being_worked_for_who_comes_waits_for_one_to_be_done() {
    let mut room = Room::of(1);
    let place = room.enter(1).await.0;
    assert!(place.asked());
    tokio::time::advance(OLD).await;
    assert!(!place.evict(), "it is being worked for");
    let began = Instant::now();
    let done = async {
        let _ = tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await;
        place.answered();
    };
    tokio::join!(room.enter(2), done);
    // Its answer has its time, too.
    assert_eq!(began.elapsed(), Duration::from_secs(3) + GRACE);
}

#[test]
fn what_has_to_go_begins_nothing_any_more() {
    let place = Place::new(IpAddr::from([192, 0, 2, 1]));
    assert!(place.asked() && place.awaits_body(true));
    assert!(place.evict());
    assert!(!place.awaits_body(false), "the rest of its body has come too late");
    assert!(!place.asked(), "its next request has come too late");
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_told_of_once_a_minute() {
    let (mut told, began) = (Told::default(), Instant::now());
    assert_eq!(told.count(began), Some(1));
    for second in 1..60 {
        assert_eq!(told.count(began + Duration::from_secs(second)), None);
    }
    assert_eq!(told.count(began + SAY_EVERY), Some(60));
}
