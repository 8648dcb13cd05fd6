//! The stack of `compose/` with a real container engine: the quick start against it, and then
//! everything that can happen to a container while clients are at work. Nothing acknowledged may be
//! lost or act twice, and the read models must end where the log does.
//!
//! `make test-docker`. Without `MILLWRIGHT_DOCKER` nothing is done; `MILLWRIGHT_DOCKER=require` fails
//! where there is no engine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mw_blackbox::compose::{Stack, docker, must};
use mw_blackbox::load::{self, Gaps};
use mw_blackbox::process::run;
use mw_blackbox::system::{Mode, SERVICES};
use mw_blackbox::{Http, System, story};

const SOON: Duration = Duration::from_secs(120);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(name)
}

/// Is there an engine, and the image?
fn ready() -> bool {
    let wanted = std::env::var("MILLWRIGHT_DOCKER").unwrap_or_default();
    if wanted.is_empty() {
        println!("skipped: make test-docker runs the stack in containers");
        return false;
    }
    let engine = run(&mut Command::new(script("engine.sh")));
    if engine.code == Some(75) && wanted != "require" {
        println!("skipped: {}", engine.err.trim());
        return false;
    }
    assert_eq!(engine.code, Some(0), "{engine:?}");
    let images = run(&mut Command::new(script("images.sh")));
    assert_eq!(images.code, Some(0), "{}{}", images.out, images.err);
    print!("{}", images.out);
    true
}

/// A file system of its own in a file, for a log that runs out of room.
struct Small {
    mount: PathBuf,
}

impl Small {
    fn new(dir: &Path) -> Small {
        let (file, mount) = (dir.join("small.img"), dir.join("small"));
        std::fs::create_dir_all(&mount).unwrap();
        must(Command::new("truncate").args(["-s", "160M"]).arg(&file));
        must(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&file));
        must(Command::new("mount").args(["-o", "loop"]).args([&file, &mount]));
        must(Command::new("rm").arg("-rf").arg(mount.join("lost+found")));
        must(Command::new("chown").args(["65532:65532"]).arg(&mount));
        Small { mount }
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        // Its failure is the point: no room is left.
        run(Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", self.ballast().display())));
        run(Command::new("dd").args(["if=/dev/zero", "bs=512"]).arg(format!("of={}2", self.ballast().display())));
    }

    fn free(&self) {
        must(Command::new("rm").args(["-f"]).arg(self.ballast()).arg(format!("{}2", self.ballast().display())));
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.mount));
    }
}

fn told(case: &str, gaps: Gaps) {
    println!(
        "CASE {case}: time without commands {:.1} s, without queries {:.1} s",
        gaps.commands.as_secs_f64(),
        gaps.queries.as_secs_f64()
    );
}

/// Polls until it holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn quick_start(system: &System) {
    let mut clients =
        ["planner-1", "operator-1", "lead-1"].map(|a| (a, mw_blackbox::Commands::connect(system, a, "quick-start")));
    let mut story = story::Story::new("QS-", 3);
    let mut position = 0;
    while let Some(step) = story.next_step() {
        let client = clients.iter_mut().find(|(account, _)| *account == step.account).expect("a client");
        let reply = client.1.accepted(&step.command);
        assert_eq!(story::events(&reply), step.events);
        story.heard(&reply);
        position = story::position(&reply);
    }
    let http = Http::login(system, "planner-1");
    let path = format!("/v1/work-orders/{}?min_position={position}", story.id);
    let order = http.eventually(&path, |a| a.status == 200).json();
    assert_eq!(order["state"], "completed", "{order}");
    let verified = system.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    println!("CASE quick start: {position} events, the order is completed, the log verifies");
}

#[test]
fn the_stack_survives_what_happens_to_containers() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let small = Small::new(dir.path());
    let system =
        System::of_stack(Stack::up_with(dir.path(), Some("0".to_owned()), Some(small.mount.clone())), dir.path());
    let stack = system.stack().expect("containers");
    quick_start(&system);

    let http = Http::login(&system, "planner-1");
    let done = load::run(system.addr("mqtt"), Some(http), |load| {
        load.settle(500, SOON);
        for service in SERVICES {
            let before = stack.restarts(service);
            let gaps = load.fault(|| {
                stack.crash(service);
                until(service, || stack.restarts(service) > before);
                stack.wait_ready(service);
            });
            told(&format!("kill {service}"), gaps);
        }

        let gaps = load.fault(|| {
            let id = stack.id("broker");
            docker(&["pause", &id]);
            load.work_for(Duration::from_secs(20));
            docker(&["unpause", &id]);
            stack.wait_all_ready();
        });
        told("broker stands still for 20 s", gaps);

        let gaps = load.fault(|| {
            let (id, network) = (stack.id("production"), stack.network());
            docker(&["network", "disconnect", &network, &id]);
            load.work_for(Duration::from_secs(10));
            docker(&["network", "connect", "--alias", "production", &network, &id]);
            stack.wait_ready("production");
        });
        told("production cut off for 10 s", gaps);

        let gaps = load.fault(|| {
            let before = stack.restarts("production");
            small.fill();
            until("production stops", || stack.restarts("production") > before);
            let said = stack.logs("production");
            assert!(said.contains("No space left on device"), "{said}");
            small.free();
            stack.wait_ready("production");
        });
        told("no room for production's log", gaps);

        for service in SERVICES {
            let gaps = load.fault(|| {
                stack.replace(service);
                stack.wait_ready(service);
            });
            told(&format!("replace {service}"), gaps);
        }
    });
    let head = load::check(&system, &done);
    println!("CASE all: {head} events, 0 lost, 0 doubled, the read models equal the fold of the log");
    let verified = system.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// `MILLWRIGHT_DOWN_SECONDS`: how long each department is down; the long form is 600.
#[test]
fn each_department_goes_on_while_the_other_is_down() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let seconds = std::env::var("MILLWRIGHT_DOWN_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(15);
    let mut system = System::demo_as(Mode::Compose, dir.path(), &["--rate-limit", "0"]);
    let down = |system: &mut System, service: &'static str| {
        let stack = system.stack().expect("containers");
        docker(&["stop", "-t", "10", &stack.id(service)]);
    };
    let up = |system: &mut System, service: &'static str| {
        let stack = system.stack().expect("containers");
        docker(&["start", &stack.stopped(service)]);
        stack.wait_ready(service);
    };
    mw_blackbox::service::each_without_the_other(&mut system, Duration::from_secs(seconds), down, up);
}

#[test]
fn containers_have_no_more_than_they_need() {
    if !ready() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo_as(Mode::Compose, dir.path(), &[]);
    let stack = system.stack().expect("containers");
    for service in SERVICES {
        let id = stack.id(service);
        let of = |what: &str| docker(&["inspect", "-f", what, &id]);
        assert_eq!(of("{{.Config.User}}"), "65532:65532", "{service}");
        assert_eq!(of("{{.HostConfig.ReadonlyRootfs}}"), "true", "{service}");
        assert_eq!(of("{{.HostConfig.CapDrop}}"), "[ALL]", "{service}");
        assert_eq!(of("{{.HostConfig.RestartPolicy.Name}}"), "unless-stopped", "{service}");
        // Only its own store, and the read models for the two that share them.
        let volumes = of("{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Destination}} {{end}}{{end}}");
        let mut volumes: Vec<&str> = volumes.split_whitespace().collect();
        volumes.sort_unstable();
        let expected: &[&str] = match service {
            "projections" => &["/views"],
            "query-api" => &["/data", "/views"],
            _ => &["/data"],
        };
        assert_eq!(volumes, expected, "{service}");
        until("healthy by its own check", || of("{{.State.Health.Status}}") == "healthy");
    }
}
