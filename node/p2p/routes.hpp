// SPDX-License-Identifier: Apache-2.0
// Ways to validators that nobody may dial: which sentry carries messages for whom.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "node/p2p/kinds.hpp"

namespace trainyard::p2p {

/// A validator's word that a node carries messages for it.
struct Permit {
    PublicKey validator, sentry;
    uint64_t expires_s = 0;  ///< unix seconds
    CompactSig signature;    ///< by the validator's P2P key
    bool operator==(const Permit&) const = default;
};
inline constexpr uint64_t kPermitLifetime_s = 3600;

/// keccak256("trainyard/permit/1" | genesis hash | sentry | expires u64 LE), signed; the signer is
/// the validator. Source: docs/spec/wire.md, section 7.
[[nodiscard]] Permit make_permit(const SecretKey& key, const Hash& genesis, const PublicKey& sentry,
                                 uint64_t expires_s);
[[nodiscard]] bool is_genuine(const Permit& permit, const Hash& genesis);
/// validator 33 | sentry 33 | expires u64 LE | signature 64.
[[nodiscard]] Bytes encode_permit(const Permit& permit);
[[nodiscard]] std::optional<Permit> decode_permit(BytesView from);

/// A message of consensus on its way through a sentry.
struct Routed {
    PublicKey origin;
    PublicKey to;  ///< all zero: to everybody
    Kind kind{};   ///< of the payload
    Bytes payload;
    bool operator==(const Routed&) const = default;
};
/// The kind that carries a message of `kind`, in the same lane; nullopt: none does.
[[nodiscard]] std::optional<Kind> carrier_of(Kind kind);
/// origin 33 | to 33 | kind u8 | payload. Precondition: carrier_of(kind), and the payload is within
/// its kind's limit.
[[nodiscard]] Bytes encode_routed(const Routed& routed);
/// nullopt for what `carrier` does not carry, or is longer than the inner kind allows.
[[nodiscard]] std::optional<Routed> decode_routed(Kind carrier, BytesView from);

/// The permits that other nodes have shown. Each is of one sentry for one validator.
class Routes {
public:
    static constexpr size_t kPerSentryMax = 8;
    static constexpr size_t kMax = 512, kStrangersMax = 256;

    /// Is there room for it, and does it say more than what is known? Cheap, so that a signature
    /// is checked only of such. Who is a stranger among validators finds only a part of the room.
    [[nodiscard]] bool is_news(const Permit& permit, uint64_t now_s,
                               bool is_stranger = false) const;
    /// Takes a genuine permit that is news.
    void take(const Permit& permit);
    void drop(const PublicKey& validator, const PublicKey& sentry);
    void drop_sentry(const PublicKey& sentry);
    void drop_expired(uint64_t now_s);

    /// The sentry through which a validator is reached, and has been for the longest.
    [[nodiscard]] std::optional<PublicKey> way_to(const PublicKey& validator) const;
    [[nodiscard]] std::vector<PublicKey> sentries_of(const PublicKey& validator) const;
    [[nodiscard]] bool carries(const PublicKey& sentry, const PublicKey& validator) const;
    [[nodiscard]] std::vector<PublicKey> validators() const;

private:
    struct Way {
        PublicKey sentry;
        uint64_t expires_s = 0;
    };
    [[nodiscard]] const Way* find(const PublicKey& validator, const PublicKey& sentry) const;
    template <class Predicate>
    void drop_where(const Predicate& is_gone);

    std::map<PublicKey, std::vector<Way>> ways_;  ///< by validator; none is empty
};

}  // namespace trainyard::p2p
