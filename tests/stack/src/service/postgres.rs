//! PostgreSQL: users, devices, keys. It refuses to run as root, and then runs as the user that Debian's package makes.
use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::{
        fs::{chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{certificate, settle, words};
use crate::{
    Error, Plan, packages, pid,
    place::{self, Place},
    probe::Probe,
    process::{Process, run},
    up::Context,
};

pub(crate) const NAME: &str = "postgres";
const TEMPLATE: &str = include_str!("../../../../deploy/postgres/sordino.conf");
/// The owner of everything in it, and the name of the database.
const USER: &str = "sordino";

pub(crate) fn address(plan: &Plan) -> SocketAddr {
    plan.address(2)
}

/// Where relay nodes look for it.
pub(crate) fn reached(plan: &Plan) -> SocketAddr {
    plan.address(if plan.detour { 51 } else { 2 })
}

pub(crate) fn url(plan: &Plan, address: SocketAddr) -> Result<String, Error> {
    let password = password(&plan.place())?;
    Ok(format!("postgres://{USER}:{password}@{address}/{USER}"))
}

/// The same for relay nodes.
pub(crate) fn url_of_relays(plan: &Plan) -> Result<String, Error> {
    let mut url = url(plan, reached(plan))?;
    if plan.secure {
        let authority = certificate::authority(&plan.place());
        url += &format!("?sslmode=verify-full&sslrootcert={}", authority.display());
    }
    Ok(url)
}

pub(crate) fn process(plan: &Plan) -> Result<Process, Error> {
    let address = address(plan);
    let data = cluster(&plan.place());
    let mut args = vec!["-D".into(), data.into_os_string()];
    args.extend(words(&format!("-p {} -h {}", address.port(), address.ip())));
    // No socket in a directory that it may not be allowed to write to.
    args.extend(words("-c unix_socket_directories="));
    for setting in settings(plan)? {
        args.extend(["-c".into(), setting.into()]);
    }
    Ok(Process {
        name: NAME.to_owned(),
        program: packages::POSTGRES.path()?,
        args,
        before: clear,
        user: user()?,
        address,
        health: address,
        probe: Probe::Postgres,
        ready_within: Duration::from_secs(60),
    })
}

/// What the operators' file says, as `key=value`, but for addresses.
fn settings(plan: &Plan) -> Result<Vec<String>, Error> {
    let file = plan.secure.then(|| certificate_file(&plan.place()));
    let values = [
        ("listen_addresses", None),
        // Twenty relay nodes and the tests.
        ("max_connections", Some("300".to_owned())),
        (
            "ssl",
            Some(if plan.secure { "on" } else { "off" }.to_owned()),
        ),
        ("ssl_cert_file", file.clone()),
        ("ssl_key_file", file),
    ];
    let text = settle("postgres/sordino.conf", TEMPLATE, " = ", &values)?;
    let settings = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(settings
        .map(|line| line.replace(" = ", "=").replace('\'', ""))
        .collect())
}

/// Starts it, making its files and the database first if there are none.
pub(crate) fn bring_up(plan: &Plan, context: &Context<'_>) -> Result<(), Error> {
    let place = &context.place;
    let made = place.etc("postgres.made");
    if !made.exists() {
        context.prepare("making PostgreSQL's files")?;
        init(place)?;
        place.write(&made, b"")?;
    }
    if plan.secure {
        give_certificate(place)?;
    }
    process(plan)?.ensure(context)
}

/// A copy of its own: it insists that the key is its user's.
fn certificate_file(place: &Place) -> String {
    let cluster = cluster(place);
    cluster.with_file_name("server.pem").display().to_string()
}

fn give_certificate(place: &Place) -> Result<(), Error> {
    let file = PathBuf::from(certificate_file(place));
    let pem = fs::read(certificate::file(place)).map_err(Error::io("read a certificate"))?;
    place.write(&file, &pem)?;
    if let Some((user, group)) = user()? {
        chown(&file, Some(user), Some(group)).map_err(Error::io("give away a file"))?;
    }
    Ok(())
}

/// Removes what it keeps, if that lies elsewhere.
pub(crate) fn wipe(place: &Place) -> Result<(), Error> {
    match fs::read_link(place.data(NAME)) {
        Ok(elsewhere) if elsewhere.exists() => {
            let failed = format!("remove {}", elsewhere.display());
            fs::remove_dir_all(&elsewhere).map_err(Error::io(failed))
        }
        _ => Ok(()),
    }
}

/// What `initdb` makes.
fn cluster(place: &Place) -> PathBuf {
    let data = place.data(NAME);
    fs::read_link(&data).unwrap_or(data).join("cluster")
}

fn password(place: &Place) -> Result<String, Error> {
    place.secret(&place.etc("postgres.password"), || {
        hex::encode(rand::random::<[u8; 16]>())
    })
}

fn init(place: &Place) -> Result<(), Error> {
    let home = home(place)?;
    let cluster = cluster(place);
    if cluster.exists() {
        // Interrupted before.
        fs::remove_dir_all(&cluster).map_err(Error::io("remove an unfinished database"))?;
    }
    let user = user()?;
    let file = home.join("password");
    place.write(&file, password(place)?.as_bytes())?;
    if let Some((user, group)) = user {
        chown(&file, Some(user), Some(group)).map_err(Error::io("give away a file"))?;
    }
    let initdb = packages::POSTGRES.path()?.with_file_name("initdb");
    let options =
        format!("--username={USER} --auth=scram-sha-256 --encoding=UTF8 --no-locale --no-sync");
    let mut command = Command::new(initdb);
    command.args(words(&options));
    command.arg("--pwfile").arg(&file).arg("-D").arg(&cluster);
    run_as(&mut command, user, "making PostgreSQL's files")?;
    fs::remove_file(&file).map_err(Error::io("remove a file"))?;
    // By itself, before it listens: nobody else is there yet, so no password is needed.
    let mut command = Command::new(packages::POSTGRES.path()?);
    command
        .args(words("--single -D"))
        .arg(&cluster)
        .arg("postgres");
    let statement = place.etc("postgres.sql");
    place.write(&statement, format!("CREATE DATABASE {USER}\n").as_bytes())?;
    command.stdin(File::open(&statement).map_err(Error::io("open a file"))?);
    run_as(&mut command, user, "creating the database")
}

fn run_as(command: &mut Command, user: Option<(u32, u32)>, what: &str) -> Result<(), Error> {
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    run(command.current_dir("/"), what)
}

/// The directory for its files, which it owns and can reach.
fn home(place: &Place) -> Result<PathBuf, Error> {
    let home = place.data(NAME);
    if let Ok(elsewhere) = fs::read_link(&home) {
        return Ok(elsewhere);
    }
    place::make(&home)?;
    let Some((user, group)) = user()? else {
        return Ok(home);
    };
    chown(&home, Some(user), Some(group)).map_err(Error::io("give away a directory"))?;
    if reaches(user, group, &home) {
        return Ok(home);
    }
    // Below /root nobody but root reaches anything. The link is for ourselves: to the server it would be out of reach, too.
    let elsewhere = Path::new("/var/lib/postgresql").join(format!(
        "sordino-{}",
        hex::encode(rand::random::<[u8; 4]>())
    ));
    place::make(&elsewhere)?;
    chown(&elsewhere, Some(user), Some(group)).map_err(Error::io("give away a directory"))?;
    fs::remove_dir(&home)
        .and_then(|()| symlink(&elsewhere, &home))
        .map_err(Error::io(format!("link {}", home.display())))?;
    Ok(elsewhere)
}

fn reaches(user: u32, group: u32, dir: &Path) -> bool {
    let mut test = Command::new("test");
    test.arg("-x")
        .arg(dir)
        .current_dir("/")
        .uid(user)
        .gid(group);
    test.status().is_ok_and(|status| status.success())
}

/// The user to run as, if we are root.
fn user() -> Result<Option<(u32, u32)>, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
    let found = users.lines().find_map(|line| {
        // name:x:uid:gid:…
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    let missing =
        || Error::Missing("postgresql (there is no user postgres to run it as)".to_owned());
    found.map(Some).ok_or_else(missing)
}

/// After `kill -9` of the first of its processes the others end by themselves; until then it must not start again.
fn clear(place: &Place) -> Result<(), Error> {
    let cluster = cluster(place);
    let until = Instant::now() + Duration::from_secs(30);
    while let Some(orphan) = pid::working_in(&cluster, "postgres").first() {
        if Instant::now() > until {
            let (pid, place) = (orphan.pid(), cluster.display());
            return Err(Error::Plan(format!("process {pid} still uses {place}")));
        }
        thread::sleep(Duration::from_millis(50));
    }
    // It takes its own lock file for that of a running server as long as the number in it is in use: by whatever has it now,
    // or because nobody has collected the one that was killed.
    match fs::remove_file(cluster.join("postmaster.pid")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove postmaster.pid")(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_file_takes_the_stacks_values() {
        let plan = |secure| Plan {
            secure,
            ..Plan::new(Path::new("/stack")).unwrap()
        };
        let settings = |secure| settings(&plan(secure)).unwrap();
        for expected in ["max_connections=300", "ssl=off", "synchronous_commit=on"] {
            assert!(
                settings(false).iter().any(|set| set == expected),
                "{expected}"
            );
        }
        let file = "ssl_cert_file=/stack/data/postgres/server.pem".to_owned();
        assert!(settings(true).contains(&file) && !settings(false).contains(&file));
        assert!(
            settings(true)
                .iter()
                .all(|set| !set.contains(['\'', '#', ' ']))
        );
    }
}
