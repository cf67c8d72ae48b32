// SPDX-License-Identifier: Apache-2.0
// Messages of a crew as NCCL's calls on the stream of the backend; none of them waits. Processes
// agree on each stage before the next, because whoever calls NCCL waits for all others.
#include "cuda/linked_crew.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda/link_end.hpp"
#include "training/tensor_set.hpp"

namespace trainyard::cuda {

namespace {

class LinkedCrew final : public training::Crew {
public:
    LinkedCrew(training::Crew& hosts, LinkEnd& end, const Nccl& nccl, NcclComm comm)
        : hosts_(hosts), end_(end), nccl_(nccl), comm_(comm) {}
    LinkedCrew(const LinkedCrew&) = delete;
    LinkedCrew& operator=(const LinkedCrew&) = delete;
    /// After an error partners may never come, and nothing must wait for them.
    ~LinkedCrew() override {
        const bool is_well = end_.open_stream() != nullptr;
        static_cast<void>(is_well ? nccl_.comm_destroy(comm_) : nccl_.comm_abort(comm_));
    }
    [[nodiscard]] uint32_t rank() const override { return hosts_.rank(); }
    [[nodiscard]] uint32_t size() const override { return hosts_.size(); }
    [[nodiscard]] Bytes gather(BytesView mine) override { return hosts_.gather(mine); }
    [[nodiscard]] bool reaches_devices() const override { return true; }
    void send_to_first(std::span<const float> x) override {
        enqueue([&](NcclStream stream) {
            return nccl_.send(x.data(), x.size(), kNcclFloat, 0, comm_, stream);
        });
    }
    void receive(std::span<float> x, uint32_t from) override {
        enqueue([&](NcclStream stream) {
            const int rank = static_cast<int>(from);
            return nccl_.recv(x.data(), x.size(), kNcclFloat, rank, comm_, stream);
        });
    }
    void share(std::span<float> x) override {
        enqueue([&](NcclStream stream) {
            return nccl_.broadcast(x.data(), x.data(), x.size(), kNcclFloat, 0, comm_, stream);
        });
    }

private:
    template <class Call>
    void enqueue(const Call& call) {
        const NcclStream stream = end_.open_stream();
        if (stream != nullptr && call(stream) != kNcclSuccess) end_.fail_device();
    }

    training::Crew& hosts_;
    LinkEnd& end_;
    Nccl nccl_;
    NcclComm comm_;
};

/// What one process says to all: something of its own, or why it cannot go on.
struct Answer {
    bool ok = false;
    std::string text;
};
constexpr size_t kTextBytes = sizeof(NcclId);

std::vector<Answer> exchange(training::Crew& crew, const Answer& mine) {
    Bytes record(1 + kTextBytes);
    record[0] = mine.ok ? 1 : 0;
    std::copy_n(mine.text.begin(), std::min(mine.text.size(), kTextBytes), record.begin() + 1);
    const Bytes all = crew.gather(record);
    std::vector<Answer> out;
    for (size_t at = 0; at < all.size(); at += record.size())
        out.push_back({all[at] == 1,
                       {all.begin() + static_cast<ptrdiff_t>(at) + 1,
                        all.begin() + static_cast<ptrdiff_t>(at + record.size())}});
    return out;
}

std::optional<std::string> refusal_in(const std::vector<Answer>& answers) {
    for (size_t r = 0; r < answers.size(); ++r)
        if (!answers[r].ok) return "process " + std::to_string(r) + ": " + answers[r].text.c_str();
    return std::nullopt;
}

std::optional<std::string> shared_device_in(const std::vector<Answer>& devices) {
    for (size_t r = 0; r < devices.size(); ++r)
        for (size_t other = 0; other < r; ++other)
            if (devices[r].text == devices[other].text)
                return "processes " + std::to_string(other) + " and " + std::to_string(r) +
                       " share one GPU, start as many processes as there are GPUs";
    return std::nullopt;
}

Answer answer_of(const Nccl& nccl, const char* what, NcclResult result) {
    if (result == kNcclSuccess) return {true, {}};
    return {false, std::string(what) + " failed, " + nccl.get_error_string(result)};
}

/// One process of a crew of which each has a device.
struct Member {
    training::Crew& crew;
    training::Backend& backend;
    LinkEnd& end;
    const Nccl& nccl;
};

/// Each sends its number to the first, which shares the last one: connections are made when they
/// are first used, and what fails there must show before a step relies on it.
Answer try_messages(const Member& me, NcclComm comm) {
    const int size = static_cast<int>(me.crew.size());
    auto number = static_cast<float>(me.crew.rank());
    const training::BackendMemory memory(me.backend, sizeof number);
    const NcclStream stream = me.end.open_stream();
    if (!memory.ok() || stream == nullptr) return {false, "the GPU has no memory or failed"};
    float* const x = memory.floats();
    me.backend.upload(x, &number, sizeof number);
    NcclResult result = kNcclSuccess;
    if (me.crew.rank() != 0) result = me.nccl.send(x, 1, kNcclFloat, 0, comm, stream);
    for (int r = 1; r < size && me.crew.rank() == 0 && result == kNcclSuccess; ++r)
        result = me.nccl.recv(x, 1, kNcclFloat, r, comm, stream);
    if (result == kNcclSuccess) result = me.nccl.broadcast(x, x, 1, kNcclFloat, 0, comm, stream);
    if (result != kNcclSuccess) return answer_of(me.nccl, "a first message", result);
    me.backend.fetch(&number, x, sizeof number);
    if (!me.backend.finish()) return {false, "the GPU failed at a first message"};
    if (number != static_cast<float>(size - 1)) return {false, "a first message came changed"};
    return {true, {}};
}

/// The number under which all meet; made by the first.
Result<NcclId, std::string> agree_on_id(const Member& me) {
    NcclId id = {};
    Answer mine{true, {}};
    if (me.crew.rank() == 0)
        mine = answer_of(me.nccl, "ncclGetUniqueId", me.nccl.get_unique_id(&id));
    if (mine.ok) mine.text.assign(id.bytes.begin(), id.bytes.end());
    const auto ids = exchange(me.crew, mine);
    if (auto why = refusal_in(ids)) return unexpected(std::move(*why));
    std::copy_n(ids[0].text.begin(), id.bytes.size(), id.bytes.begin());
    return id;
}

Result<NcclComm, std::string> connect(const Member& me) {
    const auto id = agree_on_id(me);
    if (!id) return unexpected(id.error());
    static_cast<void>(me.end.open_stream());  // NCCL takes the device of the calling thread
    NcclComm comm = nullptr;
    const NcclResult result = me.nccl.comm_init_rank(&comm, static_cast<int>(me.crew.size()), *id,
                                                     static_cast<int>(me.crew.rank()));
    auto why = refusal_in(exchange(me.crew, answer_of(me.nccl, "ncclCommInitRank", result)));
    if (!why) why = refusal_in(exchange(me.crew, try_messages(me, comm)));
    if (!why) return comm;
    if (result == kNcclSuccess) static_cast<void>(me.nccl.comm_abort(comm));
    return unexpected(std::move(*why));
}

}  // namespace

Result<std::unique_ptr<training::Crew>, std::string> link_devices(
    training::Crew& crew, training::Backend& backend,
    const std::function<Result<Nccl, std::string>()>& load) {
    if (crew.size() == 1) return std::unique_ptr<training::Crew>();
    constexpr std::string_view kNoDevice = "computes on its CPU";
    auto* const end = dynamic_cast<LinkEnd*>(&backend);
    const Result<Nccl, std::string> nccl =
        end != nullptr ? load() : unexpected(std::string(kNoDevice));
    const auto devices =
        exchange(crew, nccl ? Answer{true, end->device_id()} : Answer{false, nccl.error()});
    const bool all_on_hosts = std::all_of(devices.begin(), devices.end(), [&](const Answer& a) {
        return !a.ok && a.text.c_str() == kNoDevice;
    });
    if (all_on_hosts) return std::unique_ptr<training::Crew>();
    if (auto why = refusal_in(devices)) return unexpected(std::move(*why));
    if (auto why = shared_device_in(devices)) return unexpected(std::move(*why));
    const auto comm = connect({crew, backend, *end, *nccl});
    if (!comm) return unexpected(comm.error());
    return std::unique_ptr<training::Crew>(std::make_unique<LinkedCrew>(crew, *end, *nccl, *comm));
}

}  // namespace trainyard::cuda
