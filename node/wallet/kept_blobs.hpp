// SPDX-License-Identifier: Apache-2.0
// Which blobs an account has given to its node to keep, and until when somebody may ask for them.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::wallet {

enum class BlobUse : uint8_t {
    material,  ///< program and data, of which auditors and the client ask
    state,     ///< after a segment
    bundle,    ///< for auditors of a segment, and its index
};

struct KeptBlob {
    uint64_t job = 0;
    uint32_t seg = 0;  ///< 0 with material
    BlobUse use = BlobUse::material;
    Hash id;
    uint64_t until_s = 0;  ///< unix time; 0: the job runs
    bool operator==(const KeptBlob&) const = default;
};

/// Whether auditors, or who takes over, may ask for the blob while the job runs: until its segment
/// is final; a state until the next one is, which begins with it.
[[nodiscard]] bool is_asked_for(const KeptBlob& blob, const Job& job);
/// Whether it belongs to the model of a closed job: the last final state, and what it was made of.
[[nodiscard]] bool is_of_model(const KeptBlob& blob, const Job& job);

inline constexpr uint64_t kKeepModel_s = 30 * 86'400;  ///< after its job was closed

/// The list, in a file that each change rewrites. A line is `job,segment,use,until,id`; one that is
/// none is left out: its blob stays at the node. Thread-safe.
class KeptBlobs {
public:
    explicit KeptBlobs(std::string path);

    /// Gives a blob to the node; its `id` is found here.
    [[nodiscard]] Answer<Hash> keep(MarketApi& market, KeptBlob blob, BytesView content);
    /// Looks at the jobs of which something is kept, and releases at the node what nobody may ask
    /// for any more, models `model_s` after the end of their job. The jobs that were found closed.
    std::vector<uint64_t> look_after(MarketApi& market, uint64_t now_s, uint64_t model_s);

    /// Before the blob is given to the node: one that is there without a line here stays for ever.
    [[nodiscard]] Result<Done, WalletError> note(const KeptBlob& blob);
    /// Jobs of which something is kept and that were not seen closed.
    [[nodiscard]] std::vector<uint64_t> running() const;
    /// What is known of one: if it is closed, its model is kept until `until_s`.
    void see(uint64_t id, const Job& job, uint64_t until_s);
    /// Blobs that nobody may ask for any more; `see` and time put them there.
    [[nodiscard]] std::vector<KeptBlob> due(uint64_t now_s) const;
    /// Whether another line has the same blob, which then stays.
    [[nodiscard]] bool is_shared(const KeptBlob& blob) const;
    void forget(const KeptBlob& blob);
    /// Whether program and data of a job were given to the node, and nobody has released them.
    [[nodiscard]] bool has_material(uint64_t job) const;
    [[nodiscard]] std::vector<KeptBlob> all() const;

private:
    [[nodiscard]] Result<Done, WalletError> write() const;

    const std::string path_;
    mutable std::mutex mutex_;
    std::vector<KeptBlob> all_;
};

}  // namespace trainyard::node::wallet
