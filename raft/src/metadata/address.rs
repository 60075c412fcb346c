//! Where a broker is reached, and where it stands.

use std::fmt;
use std::str::FromStr;

/// The address that a broker advertises: `host:port`, an IPv6 address in brackets.
///
/// The host is not looked up. It holds no blanks, no control characters and no user name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

impl Address {
    /// The longest address: a host name of 253 bytes, brackets, and a port.
    pub const BYTES_MAX: usize = 261;

    /// Checks and wraps an address.
    ///
    /// # Errors
    /// It is not of that form, or the port is 0.
    pub fn new(address: impl Into<String>) -> Result<Self, AddressError> {
        let address = address.into();
        if address.len() > Self::BYTES_MAX {
            return Err(AddressError::TooLong { bytes: address.len() });
        }
        let (host, port) = address.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port != 0);
        if !is_port {
            return Err(AddressError::Port);
        }
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match in_brackets {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        };
        if is_host { Ok(Self(address)) } else { Err(AddressError::Host) }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(address: &str) -> Result<Self, Self::Err> {
        Self::new(address)
    }
}

/// A text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// There are more than [`Address::BYTES_MAX`] bytes.
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// No colon stands before a port.
    NoPort,
    /// What stands behind the last colon is not a port from 1 to 65535.
    Port,
    /// The host is empty, or neither a name nor an address.
    Host,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "address has {bytes} bytes, at most {} are allowed", Address::BYTES_MAX)
            }
            Self::NoPort => f.write_str("address has no port, it is host:port"),
            Self::Port => f.write_str("port is not a number from 1 to 65535"),
            Self::Host => f.write_str("host is neither a name nor an IP address, IPv6 stands in brackets"),
        }
    }
}

impl std::error::Error for AddressError {}

/// The rack, zone or room that a broker stands in: 1 to 64 characters out of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rack(String);

impl Rack {
    /// The longest name.
    pub const BYTES_MAX: usize = 64;

    /// Checks and wraps a name.
    ///
    /// # Errors
    /// The name breaks the rule above.
    pub fn new(rack: impl Into<String>) -> Result<Self, RackError> {
        let rack = rack.into();
        let is_name = rack.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if is_name && (1..=Self::BYTES_MAX).contains(&rack.len()) { Ok(Self(rack)) } else { Err(RackError) }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Rack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not the name of a rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RackError;

impl fmt::Display for RackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rack is not 1 to {} characters out of A-Z a-z 0-9 . _ -", Rack::BYTES_MAX)
    }
}

impl std::error::Error for RackError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for address in ["127.0.0.1:7420", "broker-1.example.org:1", "[::1]:65535", "a_b:80"] {
            assert_eq!(Address::new(address).unwrap().as_str(), address);
        }
        for (address, error) in [
            ("", AddressError::NoPort),
            ("localhost", AddressError::NoPort),
            ("localhost:", AddressError::Port),
            ("localhost:0", AddressError::Port),
            ("localhost:65536", AddressError::Port),
            ("localhost:+80", AddressError::Port),
            (":80", AddressError::Host),
            ("::1:80", AddressError::Host),
            ("[::1:80", AddressError::Host),
            ("[nonsense]:80", AddressError::Host),
            ("a b:80", AddressError::Host),
            ("user@host:80", AddressError::Host),
            ("http://host:80", AddressError::Host),
        ] {
            assert_eq!(Address::new(address), Err(error), "{address}");
        }
        assert_eq!(Address::new("x".repeat(262)), Err(AddressError::TooLong { bytes: 262 }));
    }

    #[test]
    fn racks_follow_the_rule() {
        assert_eq!(Rack::new("eu-west_1.a").unwrap().as_str(), "eu-west_1.a");
        for rack in ["", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(Rack::new(rack), Err(RackError), "{rack}");
        }
    }
}
