// SPDX-License-Identifier: Apache-2.0
// Blobs for JSON-RPC.
#include "node/cli/node_blobs.hpp"

#include <condition_variable>
#include <mutex>

namespace trainyard::node::cli {
namespace {

rpc::BlobError error_of(const blobs::BlobFailure& failure) {
    switch (failure.error) {
        case blobs::BlobError::not_found:
            return rpc::BlobError::not_found;
        case blobs::BlobError::too_large:
            return rpc::BlobError::too_large;
        case blobs::BlobError::quota_exceeded:
            return rpc::BlobError::quota;
        case blobs::BlobError::bad_range:
            return rpc::BlobError::out_of_range;
        default:
            return rpc::BlobError::io;
    }
}

/// That this node could not take a blob does not say that nobody has it.
rpc::BlobError error_of(const sync::FetchFailure& failure) {
    switch (failure.error) {
        case sync::FetchError::no_source:
            return rpc::BlobError::not_found;
        case sync::FetchError::store:
            return rpc::BlobError::quota;
        case sync::FetchError::busy:
            return rpc::BlobError::busy;
    }
    return rpc::BlobError::io;
}

class Writer final : public rpc::BlobWriter {
public:
    explicit Writer(std::unique_ptr<blobs::BlobWriter> writer) : writer_(std::move(writer)) {}
    [[nodiscard]] Result<Done, rpc::BlobError> append(BytesView piece) override {
        const auto done = writer_->append(piece);
        if (!done) return unexpected(error_of(done.error()));
        size_ += piece.size();
        return Done{};
    }
    [[nodiscard]] Result<rpc::BlobInfo, rpc::BlobError> finish() override {
        const auto id = writer_->finish();
        if (!id) return unexpected(error_of(id.error()));
        return rpc::BlobInfo{*id, size_};
    }

private:
    std::unique_ptr<blobs::BlobWriter> writer_;
    uint64_t size_ = 0;
};

}  // namespace

Result<std::unique_ptr<rpc::BlobWriter>, rpc::BlobError> NodeBlobs::begin(
    const std::optional<Hash>& owner, rpc::Uploader who) {
    using Writes = blobs::BlobStore::Writes;
    auto writer = store_.writer(owner, who == rpc::Uploader::own ? Writes::own : Writes::guest);
    if (!writer) return unexpected(error_of(writer.error()));
    return std::unique_ptr<rpc::BlobWriter>(std::make_unique<Writer>(std::move(*writer)));
}

Result<Done, rpc::BlobError> NodeBlobs::release(const Hash& id, const Hash& owner) {
    const auto done = store_.release(id, owner);
    if (!done) return unexpected(error_of(done.error()));
    return Done{};
}

Result<Done, rpc::BlobError> NodeBlobs::release(const Hash& id) {
    const auto done = store_.release(id);
    if (!done) return unexpected(error_of(done.error()));
    return Done{};
}

std::vector<rpc::HeldBlob> NodeBlobs::held_after(const Hash& id, size_t count_max) const {
    std::vector<rpc::HeldBlob> out;
    for (const auto& blob : store_.held_after(id, count_max))
        out.push_back({{blob.id, blob.size_bytes}, blob.is_kept, blob.owners});
    return out;
}

std::optional<rpc::BlobError> NodeBlobs::fetch_and_wait(const Hash& id) {
    struct Wait {
        std::mutex mutex;
        std::condition_variable done;
        std::optional<sync::Fetched> result;
    };
    const auto wait = std::make_shared<Wait>();
    service_.fetch(id, strand_, [wait](const sync::Fetched& fetched) {
        const std::lock_guard lock(wait->mutex);
        wait->result = fetched;
        wait->done.notify_all();
    });
    std::unique_lock lock(wait->mutex);
    wait->done.wait_for(lock, wait_, [&] { return wait->result.has_value(); });
    if (!wait->result) return rpc::BlobError::not_found;
    return *wait->result ? std::nullopt : std::optional(error_of(wait->result->error()));
}

Result<rpc::BlobInfo, rpc::BlobError> NodeBlobs::fetch(const std::string& client, const Hash& id) {
    if (!store_.has(id)) {
        const auto place = waits_.take(client);
        if (!place) return unexpected(rpc::BlobError::busy);
        if (const auto failure = fetch_and_wait(id)) return unexpected(*failure);
    }
    return info(id);
}

Result<rpc::BlobInfo, rpc::BlobError> NodeBlobs::info(const Hash& id) {
    if (!store_.has(id)) return unexpected(rpc::BlobError::not_found);
    const auto manifest = store_.manifest(id);
    if (!manifest) return unexpected(error_of(manifest.error()));
    return rpc::BlobInfo{id, (*manifest)->size_bytes};
}

rpc::BlobPlace NodeBlobs::seek(const Hash& id) {
    if (store_.has(id)) return rpc::BlobPlace::here;
    for (const auto& fetch : service_.progress())
        if (fetch.id == id)
            return fetch.taken < wait_ ? rpc::BlobPlace::sought : rpc::BlobPlace::absent;
    service_.fetch(id, strand_, [](const sync::Fetched&) {});
    return rpc::BlobPlace::sought;
}

Result<Bytes, rpc::BlobError> NodeBlobs::read(const Hash& id, uint64_t offset,
                                              uint64_t length) const {
    const auto manifest = store_.manifest(id);
    if (!manifest) return unexpected(error_of(manifest.error()));
    const uint64_t size = (*manifest)->size_bytes;
    if (offset > size) return unexpected(rpc::BlobError::out_of_range);
    auto bytes = store_.get_range(id, offset, std::min(length, size - offset));
    if (!bytes) return unexpected(error_of(bytes.error()));
    return std::move(*bytes);
}

}  // namespace trainyard::node::cli
