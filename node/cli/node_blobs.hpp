// SPDX-License-Identifier: Apache-2.0
// The blob store and its fetcher as JSON-RPC sees them.
#pragma once

#include "core/places.hpp"
#include "node/backend/node_backend.hpp"
#include "node/blobs/store.hpp"
#include "node/sync/blob_service.hpp"

namespace trainyard::node::cli {

class NodeBlobs final : public backend::Blobs {
public:
    static constexpr runtime::Duration kFetchWait{20'000};
    /// Threads that may wait at once, of those that answer all calls; others hear busy.
    static constexpr size_t kWaitsMax = 3, kWaitsOfClientMax = 2;

    /// `wait`: so long a blob is looked for before it counts as absent.
    NodeBlobs(blobs::BlobStore& store, sync::BlobService& service, runtime::Strand strand,
              runtime::Duration wait = kFetchWait)
        : store_(store), service_(service), strand_(std::move(strand)), wait_(wait) {}

    [[nodiscard]] Result<std::unique_ptr<rpc::BlobWriter>, rpc::BlobError> begin(
        const std::optional<Hash>& owner, rpc::Uploader who) override;
    [[nodiscard]] Result<Done, rpc::BlobError> release(const Hash& id, const Hash& owner) override;
    [[nodiscard]] Result<Done, rpc::BlobError> release(const Hash& id) override;
    [[nodiscard]] std::vector<rpc::HeldBlob> held_after(const Hash& id,
                                                        size_t count_max) const override;
    [[nodiscard]] Result<rpc::BlobInfo, rpc::BlobError> info(const Hash& id) override;
    [[nodiscard]] Result<rpc::BlobInfo, rpc::BlobError> fetch(const std::string& client,
                                                              const Hash& id) override;
    [[nodiscard]] rpc::BlobPlace seek(const Hash& id) override;
    [[nodiscard]] Result<Bytes, rpc::BlobError> read(const Hash& id, uint64_t offset,
                                                     uint64_t length) const override;

private:
    /// nullopt: it is in the store.
    [[nodiscard]] std::optional<rpc::BlobError> fetch_and_wait(const Hash& id);

    blobs::BlobStore& store_;
    sync::BlobService& service_;
    runtime::Strand strand_;
    runtime::Duration wait_;
    Places<std::string> waits_{{.all = kWaitsMax, .of_one = kWaitsOfClientMax}};
};

}  // namespace trainyard::node::cli
