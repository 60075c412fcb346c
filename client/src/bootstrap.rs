//! The brokers that a client asks first.

use crate::CallError;

/// Reads `host:port[,host:port...]`; an IPv6 address stands in brackets.
pub(crate) fn parse(addresses: &str) -> Result<Vec<String>, CallError> {
    let parts = addresses.split(',').map(str::trim).filter(|address| !address.is_empty());
    let parsed = parts.map(checked).collect::<Result<Vec<_>, _>>()?;
    if parsed.is_empty() {
        return Err(CallError::Address { address: addresses.to_owned() });
    }
    Ok(parsed)
}

/// Checks one address.
fn checked(address: &str) -> Result<String, CallError> {
    let refused = || CallError::Address { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(refused)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']) && (bracketed || !host.contains(':'));
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    if is_host && is_port { Ok(address.to_owned()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_addresses_are_read() {
        assert_eq!(parse("a:1"), Ok(vec!["a:1".to_owned()]));
        assert_eq!(parse("a:1, [::1]:2,"), Ok(vec!["a:1".to_owned(), "[::1]:2".to_owned()]));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in ["", ",", "a", "a:", ":1", "a:0", "a:70000", "http://a:1", "::1:2", "a:1,b"] {
            assert!(matches!(parse(address), Err(CallError::Address { .. })), "{address:?}");
        }
    }
}
