//! `healthcheck`: what a container is asked with.

use super::{folder_for, said};
use crate::harness::Services;
use crate::harness::process::{Router, alertrouter, run};

#[tokio::test]
async fn it_asks_a_service_and_says_nothing_if_that_is_well() {
    let folder = folder_for(&Services::start().await);
    let mut router = Router::start(&folder.0).await;
    let url = |path: &str| format!("http://{}{path}", router.address);
    for path in ["/-/healthy", "/-/ready"] {
        // A proxy is for what is elsewhere.
        let mut command = alertrouter();
        command
            .env("HTTP_PROXY", "http://127.0.0.1:1")
            .env("ALERTROUTER_HEALTHCHECK_URL", url(path))
            .arg("healthcheck");
        let well = run(command).await;
        assert_eq!((well.code, well.out.as_str(), well.err.as_str()), (Some(0), "", ""), "{path}");
    }
    let lost = said(&folder, &["healthcheck", "--url", &url("/nowhere")]).await;
    assert_eq!(lost.code, Some(1));
    assert!(lost.err.starts_with("error: it is not well: HTTP 404"), "{lost:?}");
    let address = url("/-/healthy");
    assert_eq!(router.process.terminate().await, Some(0));
    let gone = said(&folder, &["healthcheck", "--url", &address]).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("it is not well: ") && gone.err.contains("Connection refused"), "{gone:?}");
    assert_eq!(said(&folder, &["healthcheck", "--timeout", "0"]).await.code, Some(2));
}
