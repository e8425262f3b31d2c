//! What Kafka and Cassandra are made of, fetched once with Maven.
use std::{
    env,
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{self, Command, Stdio},
};

use crate::{Error, packages::MAVEN, place, process::tail, up::Context};

/// A server for Java, and the artifacts it is made of.
pub(crate) struct Classpath {
    name: &'static str,
    version: &'static str,
    /// `group:artifact:version`.
    artifacts: &'static [&'static str],
}

pub(crate) const KAFKA: Classpath = Classpath {
    name: "kafka",
    version: "4.1.1",
    artifacts: &[
        "org.apache.kafka:kafka_2.13:4.1.1",
        "org.apache.kafka:kafka-tools:4.1.1",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",
        "org.apache.logging.log4j:log4j-core:2.24.3",
    ],
};
pub(crate) const CASSANDRA: Classpath = Classpath {
    name: "cassandra",
    version: "5.0.6",
    artifacts: &["org.apache.cassandra:cassandra-all:5.0.6"],
};

impl Classpath {
    /// For `java -cp`.
    pub(crate) fn argument(&self) -> OsString {
        self.dir().join("lib/*").into_os_string()
    }

    /// Fetches it unless it is there. The folder gets its name when it is complete.
    pub(crate) fn ensure(&self, context: &Context<'_>) -> Result<(), Error> {
        let dir = self.dir();
        if dir.exists() {
            return Ok(());
        }
        context.prepare(&format!("fetching {} {}", self.name, self.version))?;
        let temporary = dir.with_file_name(format!(".{}-{}", self.name, process::id()));
        place::make(&temporary)?;
        fs::write(temporary.join("pom.xml"), self.pom()).map_err(Error::io("write pom.xml"))?;
        let maven = Command::new(MAVEN.path()?)
            .args(
                "-q -B dependency:copy-dependencies -DoutputDirectory=lib -DincludeScope=runtime"
                    .split(' '),
            )
            .current_dir(&temporary)
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io("start Maven"))?;
        if !maven.status.success() {
            let _ = fs::remove_dir_all(&temporary);
            return Err(Error::Failed {
                what: format!("fetching {} with Maven", self.name),
                detail: tail(&String::from_utf8_lossy(&maven.stdout)),
            });
        }
        match fs::rename(&temporary, &dir) {
            // Another stack was faster.
            Err(_) if dir.exists() => {
                let _ = fs::remove_dir_all(&temporary);
                Ok(())
            }
            moved => moved.map_err(Error::io(format!("create {}", dir.display()))),
        }
    }

    fn dir(&self) -> PathBuf {
        let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
        let folder = format!("{}-{}", self.name, self.version);
        home.join(".cache/sordino").join(folder)
    }

    fn pom(&self) -> String {
        let dependencies: String = self
            .artifacts
            .iter()
            .map(|artifact| dependency(artifact))
            .collect();
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
             <groupId>sordino</groupId><artifactId>{}</artifactId><version>1</version><packaging>pom</packaging>\
             <dependencies>{dependencies}</dependencies></project>",
            self.name
        )
    }
}

fn dependency(artifact: &str) -> String {
    let tags = ["groupId", "artifactId", "version"]
        .iter()
        .zip(artifact.split(':'));
    let inner: String = tags
        .map(|(tag, value)| format!("<{tag}>{value}</{tag}>"))
        .collect();
    format!("<dependency>{inner}</dependency>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pom_names_every_artifact() {
        let pom = KAFKA.pom();
        assert!(pom.contains(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId>\
             <version>4.1.1</version></dependency>"
        ));
        assert_eq!(pom.matches("<dependency>").count(), 4);
    }
}
