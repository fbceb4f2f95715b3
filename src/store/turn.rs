//! Whose turn it is to write into a SQLite file. SQLite has one writer at a time, and those who wait poll, ever more
//! seldom: beside a process that writes all the time they would wait long. So writers queue before they ask it: within
//! a process for a mutex, between processes for a lock on a file beside the database. The lock is a courtesy: what
//! keeps two from writing at once is SQLite.

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::Arc,
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The queue of those who write.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    mine: Arc<Mutex<()>>,
    /// `None`: in memory, or no such file can be made.
    all: Option<Arc<File>>,
}

/// A turn; dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn {
    // Given back first.
    _all: Option<Held>,
    _mine: OwnedMutexGuard<()>,
}

#[derive(Debug)]
struct Held(Arc<File>);

impl Drop for Held {
    fn drop(&mut self) {
        // Where it fails the lock goes with the process.
        self.0.unlock().ok();
    }
}

impl Turns {
    /// `database`: the file, where there is one; the lock's is called like it with `-turn` behind.
    pub(super) fn new(database: Option<&Path>) -> Self {
        let all = database.and_then(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push("-turn");
            let opened = File::options().create(true).truncate(false).write(true).open(name);
            opened
                .inspect_err(|error| tracing::debug!(%error, "no lock beside the database"))
                .ok()
                .map(Arc::new)
        });
        Self { mine: Arc::default(), all }
    }

    pub(super) async fn take(&self) -> Turn {
        let mine = Arc::clone(&self.mine).lock_owned().await;
        let all = match &self.all {
            None => None,
            Some(file) => lock(file).await,
        };
        Turn { _all: all, _mine: mine }
    }
}

/// `None`: this file system has no locks.
async fn lock(file: &Arc<File>) -> Option<Held> {
    match file.try_lock() {
        Ok(()) => return Some(Held(Arc::clone(file))),
        Err(TryLockError::Error(_)) => return None,
        Err(TryLockError::WouldBlock) => {}
    }
    let file = Arc::clone(file);
    // Whoever stops waiting for this drops what it returns.
    let locked = tokio::task::spawn_blocking(move || file.lock().is_ok().then(|| Held(file)));
    locked.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Another opening of the same file stands for another process.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_comes_second_waits_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let (here, there) = (Turns::new(Some(&path)), Turns::new(Some(&path)));
        for other in [here.clone(), there] {
            let first = here.take().await;
            let mut second = tokio::spawn(async move { other.take().await });
            assert!(tokio::time::timeout(Duration::from_millis(20), &mut second).await.is_err());
            drop(first);
            second.await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_no_longer_waits_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let (here, there) = (Turns::new(Some(&path)), Turns::new(Some(&path)));
        let first = here.take().await;
        assert!(tokio::time::timeout(Duration::from_millis(20), there.take()).await.is_err());
        drop(first);
        here.take().await;
    }
}
