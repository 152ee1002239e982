//! A redirect is somebody else's word: it is not followed, and its target learns nothing.

use alertrouter::standin::{Behaviour, Kind, StandIn};

use super::{To, Trials};

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_leaks() {
    let elsewhere = StandIn::start(Kind::Slack).await.unwrap();
    let mut trials = Trials::start("timeout: 30s").await;
    for status in [301, 302, 303, 307, 308] {
        for to in To::ALL {
            let headers = vec![("location", elsewhere.url())];
            let behaviour = Behaviour::Answer { status, headers, body: String::new() };
            trials.arrives_once(to, behaviour, &format!("HTTP {status} (redirects are not followed)")).await;
        }
    }
    assert_eq!(elsewhere.received(), []);
    trials.harness.finish().await;
}
