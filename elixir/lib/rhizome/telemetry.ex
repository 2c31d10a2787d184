defmodule Rhizome.Telemetry do
  @moduledoc """
  The events of a store, for `:telemetry` where it is part of the system.

  The library does not depend on `:telemetry`; it looks for it when an event
  would be sent. Durations are in native units.

  | event | measurements | metadata |
  | --- | --- | --- |
  | `[:rhizome, :request, :start]` | `system_time`, `monotonic_time` | `store`, `command`, `table` |
  | `[:rhizome, :request, :stop]` | `duration`, `monotonic_time`, `request_bytes`, `reply_bytes` | the same and `result`: `:ok` or the code of a `Rhizome.Error` |
  | `[:rhizome, :request, :exception]` | `duration`, `monotonic_time` | the same and `kind`, `reason`, `stacktrace` |
  | `[:rhizome, :daemon, :up]` | `system_time`, `duration` (of the start) | `store`, `os_pid`, `version` |
  | `[:rhizome, :daemon, :down]` | `system_time`, `in_flight` (requests left unanswered) | `store`, `os_pid`, `reason` |
  | `[:rhizome, :daemon, :start_failed]` | `system_time`, `wait`: how long the next start will wait | `store`, `dir`, `error`: what `start_link/1` returns |
  | `[:rhizome, :daemon, :refused]` | `system_time` | `store`, `dir`, `error`: why the log was refused |
  | `[:rhizome, :recovery, :progress]` | `bytes`, `total_bytes` | `store`, `dir` |
  | `[:rhizome, :recovery, :stop]` | `duration`, `records` and `bytes` that were read, `torn_bytes` | `store`, `dir`, `seq`, `checkpoint` (its seq), `fresh`, `clean`, `torn`: `nil` or a map of `file`, `offset`, `bytes`, `seq`, `saved` |
  | `[:rhizome, :checkpoint, :stop]` | `duration`, `bytes` | `store`, `dir`, `seq` |
  | `[:rhizome, :checkpoint, :failed]` | `system_time` | `store`, `dir`, `error` |
  | `[:rhizome, :log, :full]`, `[:rhizome, :log, :ok]` | `system_time` | `store`, `dir` |

  `command` is the word that travels to the daemon, such as `:insert` or `:scan`,
  and `table` a table's name or `nil`; of what goes over a path of tables or a projection
  it is that. A listing that takes several pages is several requests. The events of
  recovery, checkpoints and the log are those of stores with a `:dir`.

      iex> Rhizome.Telemetry.events() |> length()
      13

  """

  @compile {:no_warn_undefined, :telemetry}

  @events [
    [:rhizome, :request, :start],
    [:rhizome, :request, :stop],
    [:rhizome, :request, :exception],
    [:rhizome, :daemon, :up],
    [:rhizome, :daemon, :down],
    [:rhizome, :daemon, :start_failed],
    [:rhizome, :daemon, :refused],
    [:rhizome, :recovery, :progress],
    [:rhizome, :recovery, :stop],
    [:rhizome, :checkpoint, :stop],
    [:rhizome, :checkpoint, :failed],
    [:rhizome, :log, :full],
    [:rhizome, :log, :ok]
  ]

  @doc "The names of all events, for `:telemetry.attach_many/4`."
  @spec events() :: [[atom()]]
  def events, do: @events

  # Asked at run time: a value compiled in would stay as it was when
  # :telemetry joins the system later.
  @doc false
  @spec enabled?() :: boolean()
  def enabled?, do: :erlang.function_exported(:telemetry, :execute, 3)

  @doc false
  @spec execute([atom()], map(), map()) :: :ok
  def execute(event, measurements, metadata) do
    if enabled?(), do: :telemetry.execute(event, measurements, metadata), else: :ok
  end

  # Wraps one request; `fun` returns the answer and its size in bytes.
  @doc false
  def request(store, op, request_bytes, fun) do
    named = named(op)
    metadata = %{store: store, command: elem(named, 0), table: table(named)}
    started = System.monotonic_time()

    :telemetry.execute(
      [:rhizome, :request, :start],
      %{system_time: System.system_time(), monotonic_time: started},
      metadata
    )

    try do
      fun.()
    else
      {answer, reply_bytes} ->
        now = System.monotonic_time()

        :telemetry.execute(
          [:rhizome, :request, :stop],
          %{
            duration: now - started,
            monotonic_time: now,
            request_bytes: request_bytes,
            reply_bytes: reply_bytes
          },
          Map.put(metadata, :result, result(answer))
        )

        answer
    catch
      kind, reason ->
        now = System.monotonic_time()

        :telemetry.execute(
          [:rhizome, :request, :exception],
          %{duration: now - started, monotonic_time: now},
          Map.merge(metadata, %{kind: kind, reason: reason, stacktrace: __STACKTRACE__})
        )

        :erlang.raise(kind, reason, __STACKTRACE__)
    end
  end

  defp named({:with, _options, op}), do: op
  defp named(op), do: op

  defp table(op) when elem(op, 0) == :batch or tuple_size(op) == 1, do: nil
  defp table(op), do: elem(op, 1)

  defp result({:error, error}), do: error.code
  defp result(_ok), do: :ok
end
