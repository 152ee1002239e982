use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::task::unconstrained;

use super::*;
use crate::clock::{ManualClock, Timestamp};

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Option<Turn>> + 'a>>;

fn poll(waiting: &mut Waiting<'_>) -> Poll<Option<Turn>> {
    waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Those who wait, by name; they have asked in this order.
struct Crowd<'a> {
    waiting: Vec<(String, Waiting<'a>)>,
}

impl<'a> Crowd<'a> {
    fn new(turns: &'a Arc<Turns>, clock: &'a ManualClock, all: &[(u32, usize)]) -> Self {
        let mut waiting = Vec::new();
        for (from, count) in all {
            for number in 0..*count {
                let mut one: Waiting<'a> = Box::pin(unconstrained(turns.wait(address(*from), clock)));
                assert!(poll(&mut one).is_pending(), "there was no turn to be had");
                waiting.push((format!("{from}-{number}"), one));
            }
        }
        Self { waiting }
    }

    /// Who has a turn now, and the turn. Whoever was sent away is gone.
    fn next(&mut self) -> Option<(String, Turn)> {
        let mut found = None;
        self.waiting.retain_mut(|(name, one)| match poll(one) {
            Poll::Pending => true,
            Poll::Ready(turn) => {
                if let Some(turn) = turn {
                    assert!(found.is_none(), "two turns at once");
                    found = Some((name.clone(), turn));
                }
                false
            }
        });
        found
    }

    fn order(mut self, first: Turn) -> Vec<String> {
        drop(first);
        let mut order = Vec::new();
        while let Some((name, turn)) = self.next() {
            order.push(name);
            drop(turn);
        }
        order
    }
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::UNIX_EPOCH)
}

async fn taken(turns: &Arc<Turns>, clock: &ManualClock) -> Turn {
    turns.wait(address(0), clock).await.unwrap()
}

#[tokio::test]
async fn addresses_take_turns_and_of_each_the_newest_and_the_oldest() {
    let (turns, clock) = (Arc::new(Turns::new(1)), clock());
    let first = taken(&turns, &clock).await;
    let crowd = Crowd::new(&turns, &clock, &[(1, 5), (2, 2), (3, 1)]);
    assert_eq!(crowd.order(first), ["1-4", "2-1", "3-0", "1-0", "2-0", "1-3", "1-1", "1-2"]);
    assert_eq!(turns.lock().free, 1, "the turn is given back");
    assert!(turns.lock().all.is_empty());
}

#[tokio::test]
async fn a_newcomer_behind_a_hundred_of_the_same_address_is_next() {
    let (turns, clock) = (Arc::new(Turns::new(1)), clock());
    let first = taken(&turns, &clock).await;
    let mut crowd = Crowd::new(&turns, &clock, &[(1, 100)]);
    drop(first);
    let (_, second) = crowd.next().unwrap();
    let (_, third) = {
        drop(second);
        crowd.next().unwrap()
    };
    // The hundred go on coming, and he comes between them.
    let mut honest: Waiting<'_> = Box::pin(turns.wait(address(1), &clock));
    assert!(poll(&mut honest).is_pending());
    drop(third);
    assert!(matches!(poll(&mut honest), Poll::Ready(Some(_))));
}

#[tokio::test]
async fn nobody_waits_longer_than_5_seconds() {
    let (turns, clock) = (Arc::new(Turns::new(1)), clock());
    let first = taken(&turns, &clock).await;
    let mut one: Waiting<'_> = Box::pin(turns.wait(address(1), &clock));
    assert!(poll(&mut one).is_pending());
    clock.advance(Duration::from_millis(4999));
    assert!(poll(&mut one).is_pending());
    clock.advance(Duration::from_millis(1));
    assert!(matches!(poll(&mut one), Poll::Ready(None)));
    // Whoever has gone takes nobody's turn.
    drop(one);
    drop(first);
    assert_eq!(turns.lock().free, 1);
}

#[tokio::test]
async fn those_who_go_away_cost_nobody_a_turn() {
    let (turns, clock) = (Arc::new(Turns::new(2)), clock());
    let [first, second] = [taken(&turns, &clock).await, taken(&turns, &clock).await];
    let mut crowd = Crowd::new(&turns, &clock, &[(1, 3), (2, 1)]);
    crowd.waiting.retain(|(name, _)| name == "1-0");
    drop(first);
    let (name, turn) = crowd.next().unwrap();
    assert_eq!(name, "1-0");
    drop((turn, second));
    // One to whom a turn was given and who has never looked.
    let held = [taken(&turns, &clock).await, taken(&turns, &clock).await];
    let crowd = Crowd::new(&turns, &clock, &[(1, 1)]);
    drop(held);
    drop(crowd);
    assert_eq!(turns.lock().free, 2);
}

#[tokio::test]
async fn the_oldest_of_the_longest_line_makes_room() {
    let (turns, clock) = (Arc::new(Turns::new(1)), clock());
    let first = taken(&turns, &clock).await;
    let mut crowd = Crowd::new(&turns, &clock, &[(1, MOST - 1), (2, 1), (3, 1)]);
    assert_eq!(turns.lock().waiting, MOST);
    let (gone, sent_away) = crowd.waiting.remove(0);
    let mut sent_away = sent_away;
    assert_eq!(gone, "1-0");
    assert!(matches!(poll(&mut sent_away), Poll::Ready(None)));
    let order = crowd.order(first);
    assert_eq!((order.len(), &order[1..3]), (MOST, &["2-0".to_owned(), "3-0".to_owned()][..]));
}
