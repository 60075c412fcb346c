#![allow(clippy::unwrap_used, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use super::SimulatedEnvironment;
use crate::environment::{Environment, OpenMode, Step, Task, TaskHandle};

/// Steps as a closure says.
struct Stepping<F>(F);

impl<F: FnMut() -> Step + Send> Task for Stepping<F> {
    fn step(&mut self) -> Step {
        (self.0)()
    }
}

fn spawn(
    machine: &SimulatedEnvironment,
    name: &str,
    step: impl FnMut() -> Step + Send + 'static,
) -> Arc<dyn TaskHandle> {
    machine.spawn(name, Box::new(Stepping(step))).unwrap()
}

/// Counts down to its end.
fn spawn_countdown(machine: &SimulatedEnvironment, name: &str, mut steps: u32) -> Arc<dyn TaskHandle> {
    spawn(machine, name, move || {
        steps -= 1;
        if steps == 0 { Step::Done } else { Step::Again }
    })
}

#[test]
fn the_seed_decides_whose_turn_it_is() {
    let order = |seed| {
        let machine = SimulatedEnvironment::new(seed);
        machine.start_trace();
        for name in ["a", "b", "c"] {
            spawn_countdown(&machine, name, 5);
        }
        machine.run_until_idle();
        machine.take_trace()
    };
    assert_eq!(order(1).len(), 15);
    assert_eq!(order(1), order(1));
    assert!((2..10).any(|seed| order(seed) != order(1)));
}

#[test]
fn a_waiting_task_steps_again_only_when_it_is_woken() {
    let machine = SimulatedEnvironment::new(1);
    let steps = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&steps);
    let task = spawn(&machine, "waits", move || {
        *counted.lock().unwrap() += 1;
        Step::Wait
    });
    assert!(machine.run_one());
    assert!(!machine.run_one());
    task.wake();
    task.wake();
    machine.run_until_idle();
    assert_eq!(*steps.lock().unwrap(), 2);
}

#[test]
fn a_wake_during_a_step_is_not_lost() {
    let machine = SimulatedEnvironment::new(1);
    let itself: Arc<OnceLock<Arc<dyn TaskHandle>>> = Arc::default();
    let in_task = Arc::clone(&itself);
    let mut steps = 0;
    let task = spawn(&machine, "wakes itself", move || {
        steps += 1;
        if steps == 3 {
            return Step::Done;
        }
        in_task.get().unwrap().wake();
        Step::Wait
    });
    itself.get_or_init(|| Arc::clone(&task));
    task.join();
    assert!(!machine.run_one());
}

#[test]
fn a_step_may_use_the_environment_and_wait_for_another_task() {
    let machine = SimulatedEnvironment::new(1);
    let other = spawn_countdown(&machine, "other", 3);
    let inside = machine.clone();
    let task = spawn(&machine, "writes", move || {
        let file = inside.open_file(Path::new("/file"), OpenMode::CreateEmpty).unwrap();
        file.write_all_at(b"from a task", 0).unwrap();
        other.join();
        Step::Done
    });
    task.join();
    task.join();
    assert_eq!(machine.read_contents(Path::new("/file")).unwrap(), b"from a task");
}

#[test]
#[should_panic(expected = "deadlock: nothing is ready, and these tasks wait: [\"waits\"]")]
fn joining_a_task_that_nobody_wakes_is_a_deadlock() {
    let machine = SimulatedEnvironment::new(1);
    spawn(&machine, "waits", || Step::Wait).join();
}

#[test]
fn a_task_that_panics_fails_the_test_once_and_is_done() {
    let machine = SimulatedEnvironment::new(1);
    let task = spawn(&machine, "panics", || panic!("on purpose, in a test"));
    assert!(catch_unwind(AssertUnwindSafe(|| machine.run_one())).is_err());
    task.join();
}

#[test]
fn the_end_of_a_life_drops_its_tasks_the_one_that_is_stepping_included() {
    let machine = SimulatedEnvironment::new(1);
    let held = Arc::new(());
    let holding = |step: Step| {
        let (held, machine) = (Arc::clone(&held), machine.clone());
        move || {
            let _ = (&held, &machine);
            step
        }
    };
    let waiting = spawn(&machine, "waits", holding(Step::Wait));
    let ready = spawn(&machine, "ready", holding(Step::Again));
    let (inside, held_inside) = (machine.clone(), Arc::clone(&held));
    let ending = spawn(&machine, "ends", move || {
        let _ = &held_inside;
        inside.power_off();
        Step::Again
    });
    ending.join();
    waiting.join();
    ready.join();
    assert!(!machine.run_one());
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(machine.spawn("late", Box::new(Stepping(|| Step::Done))).is_err());
    assert!(!machine.crash(1).run_one());
}
