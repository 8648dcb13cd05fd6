//! Eight clients run orders for a while, and everything is killed twice meanwhile. At the end the
//! read models must equal a fold of the replayed log.
//!
//! 20 seconds; two minutes with `MILLWRIGHT_TORTURE=1`.

use std::path::Path;
use std::time::Duration;

use mw_blackbox::system::Mode;
use mw_blackbox::{System, load};

fn demo(dir: &Path) -> System {
    System::demo_with(dir, &["--rate-limit", "0"])
}

#[test]
fn read_models_equal_a_fold_of_the_log_after_two_kills() {
    let torture = std::env::var("MILLWRIGHT_TORTURE").is_ok_and(|v| v == "1");
    let whole = Duration::from_secs(if torture { 120 } else { 20 });
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let mut next = None;
    let done = load::run(system.addr("mqtt"), None, |load| {
        for _ in 0..2 {
            load.work_for(whole / 3);
            load.broker_at(None);
            system.kill();
            system = demo(dir.path());
            load.broker_at(Some(system.addr("mqtt")));
        }
        load.work_for(whole / 3);
        next = Some(system);
    });
    let system = next.expect("it runs");
    assert!(done.resent > 0, "the kills hit nobody at work");
    let head = load::check(&system, &done);

    // At rest the log is sound and says the same.
    if Mode::chosen() == Mode::Compose {
        let verified = system.run(&["audit", "verify"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        return;
    }
    let data = system.data_of("production");
    assert_eq!(system.terminate().0, Some(0));
    let verified = mw_blackbox::program(&["audit", "verify", "--data", &data.to_string_lossy()], &[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let mut last = 0;
    mw_blackbox::history::replay(&data, "production", &[], |e| last = e["position"].as_u64().unwrap());
    assert_eq!(last, head);
}
