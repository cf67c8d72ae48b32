// SPDX-License-Identifier: Apache-2.0
// Certificates, contexts and checks of TLS on OpenSSL.
#include "node/p2p/tls.hpp"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/hash.hpp"

namespace trainyard::p2p {

namespace {

// An arc below 2.25 is a random UUID and needs no registration (ITU-T X.667).
constexpr char kIdentityOid[] = "2.25.300093034393280394224767922954008888138";
constexpr std::string_view kIdentityTag = "trainyard/tls-identity/1";
constexpr size_t kIdentityBytes = PublicKey::size() + CompactSig::size();
constexpr char kCommonName[] = "trainyard";
constexpr int kX509Version3 = 2;
// A certificate lives as long as the process; its dates are not checked, since clocks may be wrong.
constexpr long kValidBeforeSeconds = -24L * 3600;
constexpr long kValidAfterSeconds = 10L * 365 * 24 * 3600;

struct Free {
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
    void operator()(X509* p) const { X509_free(p); }
    void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
    void operator()(ASN1_OCTET_STRING* p) const { ASN1_OCTET_STRING_free(p); }
    void operator()(ASN1_OBJECT* p) const { ASN1_OBJECT_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

Owned<ASN1_OBJECT> identity_oid() {
    return Owned<ASN1_OBJECT>(OBJ_txt2obj(kIdentityOid, 1));
}

Bytes public_key_der(X509_PUBKEY* key) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(key, &der);
    if (size <= 0) return {};
    Bytes out(der, der + size);
    OPENSSL_free(der);
    return out;
}

Hash identity_digest(BytesView tls_public_key) {
    Bytes message;
    append(message, as_bytes(kIdentityTag));
    append(message, tls_public_key);
    return keccak256(message);
}

bool add_identity(X509* certificate, const MakeExtension& make_extension) {
    const Bytes content = make_extension(public_key_der(X509_get_X509_PUBKEY(certificate)));
    if (content.empty()) return true;
    const Owned<ASN1_OCTET_STRING> value(ASN1_OCTET_STRING_new());
    const auto oid = identity_oid();
    if (!value || !oid) return false;
    if (ASN1_OCTET_STRING_set(value.get(), content.data(), static_cast<int>(content.size())) != 1) {
        return false;
    }
    const Owned<X509_EXTENSION> extension(
        X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 1, value.get()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Owned<X509> make_certificate(EVP_PKEY* key, const MakeExtension& make_extension) {
    Owned<X509> certificate(X509_new());
    uint64_t serial = 0;
    if (!certificate ||
        RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) != 1) {
        return nullptr;
    }
    X509_NAME* name = X509_get_subject_name(certificate.get());
    const bool made =
        X509_set_version(certificate.get(), kX509Version3) == 1 &&
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), kValidBeforeSeconds) != nullptr &&
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kValidAfterSeconds) != nullptr &&
        X509_set_pubkey(certificate.get(), key) == 1 &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(kCommonName), -1, -1,
                                   0) == 1 &&
        X509_set_issuer_name(certificate.get(), name) == 1 &&
        add_identity(certificate.get(), make_extension) &&
        X509_sign(certificate.get(), key, EVP_sha256()) > 0;
    return made ? std::move(certificate) : nullptr;
}

Result<PublicKey, TlsError> identity_of(X509* certificate) {
    if (X509_verify(certificate, X509_get0_pubkey(certificate)) != 1) {
        return unexpected(TlsError::bad_self_signature);
    }
    const auto oid = identity_oid();
    const int at = X509_get_ext_by_OBJ(certificate, oid.get(), -1);
    if (at < 0 || X509_get_ext_by_OBJ(certificate, oid.get(), at) >= 0) {
        return unexpected(TlsError::no_identity);
    }
    const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate, at));
    const BytesView content(ASN1_STRING_get0_data(value),
                            static_cast<size_t>(ASN1_STRING_length(value)));
    if (content.size() != kIdentityBytes) return unexpected(TlsError::bad_identity);
    const auto key = fixed_from<PublicKey>(content.first(PublicKey::size()));
    const auto signature = fixed_from<CompactSig>(content.subspan(PublicKey::size()));
    const Hash digest = identity_digest(public_key_der(X509_get_X509_PUBKEY(certificate)));
    if (!verify(*key, digest, *signature)) return unexpected(TlsError::bad_identity);
    return *key;
}

Result<PublicKey, TlsError> identity_of_chain(X509* leaf, STACK_OF(X509) * chain) {
    if (leaf == nullptr) return unexpected(TlsError::no_certificate);
    if (chain != nullptr && sk_X509_num(chain) > 1) return unexpected(TlsError::more_than_one);
    return identity_of(leaf);
}

// Replaces OpenSSL's check of chains and names: the identity in the certificate is all that counts.
int check_peer(X509_STORE_CTX* store, void*) {
    const auto identity =
        identity_of_chain(X509_STORE_CTX_get0_cert(store), X509_STORE_CTX_get0_untrusted(store));
    X509_STORE_CTX_set_error(store, identity ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
    return identity ? 1 : 0;
}

// A peer of another chain offers another name and gets the alert no_application_protocol.
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void* wire_name) {
    const auto& ours = *static_cast<const std::string*>(wire_name);
    unsigned char* chosen = nullptr;
    const int outcome = SSL_select_next_proto(
        &chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
        static_cast<unsigned int>(ours.size()), offered, offered_size);
    *out = chosen;
    return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

std::string_view to_string(TlsError error) {
    switch (error) {
        case TlsError::no_certificate:
            return "no certificate";
        case TlsError::more_than_one:
            return "more than one certificate";
        case TlsError::bad_self_signature:
            return "certificate not signed by its own key";
        case TlsError::no_identity:
            return "certificate without a trainyard identity";
        case TlsError::bad_identity:
            return "certificate whose identity is not proven";
        case TlsError::wrong_protocol:
            return "another chain or protocol version";
    }
    return "unknown";
}

std::string protocol_name(const Hash& genesis) {
    constexpr size_t kPrefixBytes = 8;
    return "trainyard/" + to_hex(BytesView(genesis.bytes).first(kPrefixBytes)) + "/1";
}

Bytes identity_extension(const SecretKey& identity, BytesView tls_public_key) {
    const auto key = public_key(identity);
    if (!key) return {};
    Bytes content(key->begin(), key->end());
    append(content, sign(identity, identity_digest(tls_public_key)).rs.bytes);
    return content;
}

TlsContext::TlsContext(std::string protocol) : protocol_(std::move(protocol)) {
    protocol_wire_ = static_cast<char>(protocol_.size()) + protocol_;
}

TlsContext::~TlsContext() {
    SSL_CTX_free(context_);
}

std::unique_ptr<TlsContext> TlsContext::make(const MakeExtension& extension, std::string protocol) {
    std::unique_ptr<TlsContext> made(new TlsContext(std::move(protocol)));
    return made->prepare(extension) ? std::move(made) : nullptr;
}

bool TlsContext::prepare(const MakeExtension& extension) {
    context_ = SSL_CTX_new(TLS_method());
    const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
    if (context_ == nullptr || !key) return false;
    const Owned<X509> certificate = make_certificate(key.get(), extension);
    if (!certificate) return false;
    SSL_CTX_set_options(context_,
                        SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(context_, check_peer, nullptr);
    SSL_CTX_set_alpn_select_cb(context_, select_protocol, &protocol_wire_);
    return SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(context_, 0) == 1 &&
           SSL_CTX_set_max_early_data(context_, 0) == 1 &&
           SSL_CTX_use_certificate(context_, certificate.get()) == 1 &&
           SSL_CTX_use_PrivateKey(context_, key.get()) == 1 &&
           SSL_CTX_set_alpn_protos(context_,
                                   reinterpret_cast<const unsigned char*>(protocol_wire_.data()),
                                   static_cast<unsigned int>(protocol_wire_.size())) == 0;
}

Result<PublicKey, TlsError> peer_identity(const ssl_st* ssl, std::string_view protocol) {
    const unsigned char* chosen = nullptr;
    unsigned int chosen_size = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &chosen_size);
    if (as_text(BytesView(chosen, chosen_size)) != protocol) {
        return unexpected(TlsError::wrong_protocol);
    }
    X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr) return unexpected(TlsError::no_certificate);
    return identity_of(certificate);
}

}  // namespace trainyard::p2p
