// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 whose certificates prove a secp256k1 identity, and whose protocol name proves the chain.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"

// The names of OpenSSL's structures, so that this header needs none of its headers.
struct ssl_st;
struct ssl_ctx_st;

namespace trainyard::p2p {

enum class TlsError : uint8_t {
    no_certificate,
    more_than_one,  ///< a chain instead of one certificate
    bad_self_signature,
    no_identity,     ///< without our extension, or with it twice
    bad_identity,    ///< the extension is not a key and its signature over this certificate's key
    wrong_protocol,  ///< the other side does not speak of our chain
};
[[nodiscard]] std::string_view to_string(TlsError error);

/// The ALPN name: "trainyard/<first 16 hex digits of the genesis hash>/1".
[[nodiscard]] std::string protocol_name(const Hash& genesis);

/// The extension's content for a certificate with this public key (SubjectPublicKeyInfo in DER):
/// identity key 33 | signature 64 over keccak256("trainyard/tls-identity/1" | public key).
/// Source: docs/spec/wire.md, section 1, after the TLS handshake of libp2p.
[[nodiscard]] Bytes identity_extension(const SecretKey& identity, BytesView tls_public_key);

/// Builds the extension for the fresh key of this start; tests hand in wrong ones.
using MakeExtension = std::function<Bytes(BytesView tls_public_key)>;

/// A context for both roles with a new P-256 key and certificate. The peer must show a certificate
/// and `check_peer` must pass. No tickets, no resumption, no early data.
class TlsContext {
public:
    /// nullptr if OpenSSL refuses (out of memory or randomness).
    [[nodiscard]] static std::unique_ptr<TlsContext> make(const MakeExtension& extension,
                                                          std::string protocol);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    [[nodiscard]] ssl_ctx_st* native() const { return context_; }
    [[nodiscard]] const std::string& protocol() const { return protocol_; }

private:
    explicit TlsContext(std::string protocol);
    bool prepare(const MakeExtension& extension);

    const std::string protocol_;
    std::string protocol_wire_;
    ssl_ctx_st* context_ = nullptr;
};

/// Who is at the other end, after the handshake; also checks the protocol name that was agreed.
[[nodiscard]] Result<PublicKey, TlsError> peer_identity(const ssl_st* ssl,
                                                        std::string_view protocol);

}  // namespace trainyard::p2p
