defmodule Rhizome.Window do
  @moduledoc false
  # The bytes of requests that are in the pipe to the daemon, as far as one knows:
  # those that were written and are not known to be read. While they fit into the
  # pipe the port's own queue is empty, and writing cannot suspend the one who does
  # it, even if the daemon is stopped.
  #
  # An answer says that its request was read. A long read is answered when it is
  # done, and may not keep the window shut until then. So when there are some
  # bytes of them a ping is sent behind: the daemon reads in order, and its answer
  # says that all before it were read.
  #
  #                 read_id            ping_last          last       ids of requests
  #     --------------|--- pinged -------|ping|--- long ----|        bytes of long reads
  #
  # Ids ascend as requests are written, but for that of a ping, which overtakes those
  # that wait. A long read up to `read_id` is not in the window any more, whenever
  # it is answered.

  # A pipe holds 64 KiB in 16 pages. A write that does not fit the rest of a
  # page takes a new one, so half is what it holds whatever the sizes are.
  @bytes 32 * 1024

  # Bytes of long reads behind which there is a ping.
  @ping_bytes 8 * 1024

  defstruct written: 0, pinged: 0, long: 0, last: -1, ping_last: nil, read_id: -1

  @type t :: %__MODULE__{
          written: non_neg_integer(),
          pinged: non_neg_integer(),
          long: non_neg_integer(),
          last: integer(),
          ping_last: integer() | nil,
          read_id: integer()
        }

  @spec new() :: t()
  def new, do: %__MODULE__{}

  @spec open?(t()) :: boolean()
  def open?(%{written: written}), do: written < @bytes

  # The last one had the id `last`; `long_bytes` are those of long reads among `bytes`.
  @spec written(t(), non_neg_integer(), non_neg_integer(), non_neg_integer()) :: t()
  def written(window, last, bytes, long_bytes) do
    %{
      window
      | last: last,
        written: window.written + bytes,
        long: window.long + long_bytes
    }
  end

  # Whether it is time for a ping. One at a time is on its way.
  @spec ping?(t()) :: boolean()
  def ping?(%{ping_last: ping_last, long: long}), do: ping_last == nil and long > @ping_bytes

  @spec pinged(t(), non_neg_integer()) :: t()
  def pinged(%{ping_last: nil} = window, bytes) do
    %{
      window
      | written: window.written + bytes,
        pinged: window.long,
        long: 0,
        ping_last: window.last
    }
  end

  # Short requests of so many bytes were answered.
  @spec answered(t(), non_neg_integer()) :: t()
  def answered(window, bytes), do: %{window | written: window.written - bytes}

  # The ping was.
  @spec ping_answered(t(), non_neg_integer()) :: t()
  def ping_answered(window, bytes) do
    %{
      window
      | written: window.written - window.pinged - bytes,
        pinged: 0,
        ping_last: nil,
        read_id: window.ping_last
    }
  end

  # A long read was.
  @spec read_answered(t(), non_neg_integer(), non_neg_integer()) :: t()
  def read_answered(%{read_id: read_id} = window, id, _bytes) when id <= read_id, do: window

  def read_answered(%{ping_last: last} = window, id, bytes)
      when is_integer(last) and id <= last do
    %{window | written: window.written - bytes, pinged: window.pinged - bytes}
  end

  def read_answered(window, _id, bytes) do
    %{window | written: window.written - bytes, long: window.long - bytes}
  end
end
