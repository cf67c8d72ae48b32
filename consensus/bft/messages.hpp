// SPDX-License-Identifier: Apache-2.0
// What validators say to each other, what they sign, and the canonical bytes of both.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "consensus/bft/seal.hpp"
#include "consensus/dispersal/code.hpp"
#include "consensus/staking/validator_set.hpp"
#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "core/units.hpp"

namespace trainyard::consensus::bft {

inline constexpr size_t kNullificationsPerProposalMax = 8;
inline constexpr size_t kJustificationMax = kNullificationsPerProposalMax + 1;
inline constexpr size_t kCertsPerRequestMax = 8;
inline constexpr size_t kHeaderSizeMax = 4096;
inline constexpr size_t kBodySizeMax = 2 * 1024 * 1024;
inline constexpr size_t kVoteSizeMax = 256;
inline constexpr size_t kCertificateSizeMax = 16 * 1024;
inline constexpr size_t kShardPathMax = 8;  ///< levels over dispersal::kShardsMax leaves
inline constexpr size_t kMessageSizeMax =
    kHeaderSizeMax + kBodySizeMax + kJustificationMax * kCertificateSizeMax + 1024;

enum class VoteKind : uint8_t {
    notarize = 1,  ///< "this is the first valid proposal that I saw in this view"
    finalize = 2,  ///< "I hold its notarization, executed it, and never nullified this view"
    nullify = 3,   ///< "this view gave me nothing in time"
};

/// A vote of one validator. `block` is zero exactly in a nullify.
struct Vote {
    VoteKind kind = VoteKind::notarize;
    Epoch epoch;
    View view;
    Hash block;
    ValidatorIndex signer = 0;
    CompactSig signature;
    bool operator==(const Vote&) const = default;
};

/// Votes of one kind for one block (or for nothing) by distinct signers of weight >= Q.
///
/// `signers` has one bit for each validator of the set, lowest bit of the first byte first, padding
/// zero; `signatures` follow in the order of the bits.
struct Certificate {
    VoteKind kind = VoteKind::notarize;
    Epoch epoch;
    View view;
    Hash block;
    uint16_t set_size = 0;
    Bytes signers;
    std::vector<CompactSig> signatures;

    [[nodiscard]] bool has_signer(size_t index) const {
        return index / 8 < signers.size() && (signers[index / 8] >> (index % 8) & 1) != 0;
    }
    bool operator==(const Certificate&) const = default;
};
using CertPtr = std::shared_ptr<const Certificate>;

/// A header with the bytes of its body (opaque here) and its hash. Made by make_block only.
struct BlockData {
    Header header;
    Bytes body;
    Hash hash;
};
using BlockPtr = std::shared_ptr<const BlockData>;
[[nodiscard]] BlockPtr make_block(Header header, Bytes body);

/// The leader's block; its NOTARIZE signs the hash and thereby the whole proposal.
struct Propose {
    BlockPtr block;
    std::vector<CertPtr>
        justification;  ///< parent's certificate, then nullifications of views between
    ValidatorIndex leader = 0;
    CompactSig signature;  ///< of the leader's NOTARIZE for (seal.epoch, seal.view, block->hash)
};

/// The leader's vote for the last block of an epoch, which was notarized in an earlier view and is
/// not final yet: no other block follows it in its epoch (rule 13).
struct Repropose {
    Vote vote;  ///< the leader's NOTARIZE
    std::vector<CertPtr>
        justification;  ///< the block's certificate, then nullifications of views between
};

/// A proposal without its body, as the leader sends it to one node: to a validator with the shards
/// that it holds, which may vote for it then, to a follower with none. It is a Propose once the
/// body is rebuilt.
struct Scatter {
    Header header;
    std::vector<CertPtr> justification;
    ValidatorIndex leader = 0;
    CompactSig signature;  ///< as in Propose
    dispersal::Commitment commitment;
    std::vector<dispersal::Shard> shards;
};

/// All shards of one body that the sender holds, passed on to everybody.
struct Shards {
    Epoch epoch;
    View view;
    Hash block;
    dispersal::Commitment commitment;
    std::vector<dispersal::Shard> shards;
    bool operator==(const Shards&) const = default;
};

/// Asks for what is known about `count` views from `from` on: certificates, else own votes.
struct GetCert {
    Epoch epoch;
    View from;
    uint8_t count = 1;  ///< 1..kCertsPerRequestMax
    bool operator==(const GetCert&) const = default;
};
struct Cert {
    CertPtr certificate;
};
struct GetBlock {
    Hash hash;
    bool operator==(const GetBlock&) const = default;
};
struct BlockMessage {
    BlockPtr block;
};
/// Where the sender stands; sent on connecting and with each retry.
struct Status {
    Epoch epoch;
    View view;
    View final_view;
    Height final_height;
    bool operator==(const Status&) const = default;
};

using Message = std::variant<Propose, Vote, Cert, GetCert, GetBlock, BlockMessage, Status,
                             Repropose, Scatter, Shards>;

/// The epoch that a message speaks of; none in blocks and requests for them.
[[nodiscard]] std::optional<Epoch> epoch_of_message(const Message& message);

/// What every signature and every machine of one chain agrees on.
struct ChainIdentity {
    uint64_t chain_id = 0;
    Hash genesis_hash;
    bool operator==(const ChainIdentity&) const = default;
};

/// keccak256("trainyard/bft/v1" | kind | chain id | genesis hash | epoch | view | block), integers
/// little-endian.
[[nodiscard]] Hash vote_digest(const ChainIdentity& chain, VoteKind kind, Epoch epoch, View view,
                               const Hash& block);
[[nodiscard]] Hash vote_digest(const ChainIdentity& chain, const Vote& vote);

enum class DecodeError {
    truncated,
    leftover,
    unknown_kind,
    too_long,       ///< a length above its maximum
    not_canonical,  ///< padding bits, a nullify with a block, a count that does not fit, bad RLP
    bad_header,     ///< the header or its seal does not decode
};

/// The layouts are in docs/spec/consensus.md, section 3. decode(encode(m)) gives m; nothing else
/// decodes.
[[nodiscard]] Bytes encode_message(const Message& message);
[[nodiscard]] Result<Message, DecodeError> decode_message(BytesView bytes);
[[nodiscard]] Bytes encode_certificate(const Certificate& certificate);
[[nodiscard]] Result<Certificate, DecodeError> decode_certificate(BytesView bytes);

/// The lane of the wire a message travels in: votes and certificates before proposals before
/// repair.
enum class Lane : uint8_t { votes, proposals, repair };
[[nodiscard]] Lane lane_of(const Message& message);

[[nodiscard]] std::string_view to_text(DecodeError error);

}  // namespace trainyard::consensus::bft
