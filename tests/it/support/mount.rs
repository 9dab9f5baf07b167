//! Files that change like those of a mounted Kubernetes Secret.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A directory whose files are all replaced at once, by the swap of a symbolic link. It is removed with
/// the test.
pub(crate) struct Mount {
    directory: PathBuf,
    versions: AtomicUsize,
}

impl Mount {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let directory = env::temp_dir().join(format!("hcs-mount-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        let mount = Self { directory, versions: AtomicUsize::new(0) };
        mount.replace(files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), mount.directory.join(name)).unwrap();
        }
        mount
    }

    pub(crate) fn replace(&self, files: &[(&str, &str)]) {
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        let data = format!("..version_{version}");
        fs::create_dir(self.directory.join(&data)).unwrap();
        for (name, content) in files {
            fs::write(self.directory.join(&data).join(name), content).unwrap();
        }
        symlink(&data, self.directory.join("..data_tmp")).unwrap();
        fs::rename(self.directory.join("..data_tmp"), self.directory.join("..data")).unwrap();
        if version > 0 {
            fs::remove_dir_all(self.directory.join(format!("..version_{}", version - 1))).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
