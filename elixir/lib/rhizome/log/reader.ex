defmodule Rhizome.Log.Reader do
  @moduledoc false
  # One file of a term log, read forwards through a window that holds a chunk
  # or the largest record, whichever is larger. A value: each step gives the
  # next one. It may be a file that is being written: the end is looked for
  # anew each time.

  alias Rhizome.Error
  alias Rhizome.Log.Format

  @chunk 256 * 1024

  @enforce_keys [:path, :name, :device, :header]
  defstruct [
    :path,
    :name,
    :device,
    # what the header says, or why it says nothing
    :header,
    seed: 0,
    # where the window begins, and what is in it
    offset: 0,
    window: ""
  ]

  @type t :: %__MODULE__{}

  @type raw :: {Format.record_header(), payload :: binary(), offset :: non_neg_integer()}

  # Raises Rhizome.Error if it cannot be read. A header that is wrong is for
  # the caller to judge.
  @spec open!(Path.t()) :: t()
  def open!(path) do
    case open(path) do
      {:ok, file} -> file
      {:error, error} -> raise error
    end
  end

  @spec open(Path.t()) :: {:ok, t()} | {:error, Error.t()}
  def open(path) do
    with {:ok, device} <- :file.open(path, [:read, :raw, :binary]),
         {:ok, bytes} <- pread(device, 0, Format.file_header_bytes()) do
      file = %__MODULE__{
        path: path,
        name: Path.basename(path),
        device: device,
        header: Format.file_header(bytes),
        offset: Format.file_header_bytes()
      }

      {:ok, with_store(file, file.header)}
    else
      {:error, reason} -> {:error, io_error(path, reason)}
    end
  end

  @spec close(t()) :: :ok
  def close(file) do
    :file.close(file.device)
    :ok
  end

  # A file whose own header is lost can be read if somebody knows whose it is.
  @spec with_store(t(), {:ok, %{:store_id => binary(), optional(atom()) => term()}} | term()) ::
          t()
  def with_store(file, {:ok, header}), do: %{file | seed: Format.seed(header.store_id)}
  def with_store(file, _unknown), do: file

  # The next record; or the end, which zeros up to it are, too; or what is
  # wrong with the bytes at `file.offset`.
  @spec next(t()) :: {:record, raw(), t()} | {:end, t()} | {:bad, String.t(), t()}
  def next(file) do
    file = fill(file, Format.record_header_bytes())

    with true <- byte_size(file.window) >= Format.record_header_bytes(),
         {:ok, header} <- Format.record_header(file.window, file.seed) do
      payload(file, header)
    else
      _short_or_wrong ->
        if zeros?(file),
          do: {:end, file},
          else: {:bad, "the checksum or a field of a record's header is wrong", file}
    end
  end

  defp payload(file, header) do
    size = header.size
    file = fill(file, Format.record_header_bytes() + size)

    case file.window do
      <<_header::binary-24, payload::binary-size(size), rest::binary>> ->
        if Format.payload?(header, payload) do
          next = %{file | offset: file.offset + Format.record_header_bytes() + size, window: rest}
          {:record, {header, payload, file.offset}, next}
        else
          {:bad, "the checksum of a payload is wrong", file}
        end

      _short ->
        {:bad, "the file ends within a record", file}
    end
  end

  # From the place of `file` on: where a valid record says that mutations
  # beyond `seq` were durable, and which.
  @spec proof(t(), non_neg_integer()) :: {non_neg_integer(), non_neg_integer()} | nil
  def proof(file, seq) do
    file = fill(file, @chunk)

    case Format.find_proof(file.window, file.seed, seq) do
      {:found, at} ->
        file = advance(file, at)

        case next(file) do
          {:record, {header, _payload, offset}, _file} -> {offset, header.durable}
          _only_a_header -> file |> advance(1) |> proof(seq)
        end

      {:none, 0} ->
        nil

      {:none, at} ->
        file |> advance(at) |> proof(seq)
    end
  end

  # From the very beginning, header or not.
  @spec rewind(t()) :: t()
  def rewind(file), do: %{file | offset: 0, window: ""}

  @spec size!(t()) :: non_neg_integer()
  def size!(file) do
    case :file.position(file.device, :eof) do
      {:ok, size} -> size
      {:error, reason} -> raise io_error(file.path, reason)
    end
  end

  # Whether nothing but zeros follows.
  @spec zeros?(t()) :: boolean()
  def zeros?(file) do
    zero_bytes?(file.window) and zeros_from?(file, file.offset + byte_size(file.window))
  end

  defp zeros_from?(file, position) do
    case pread!(file, position, @chunk) do
      "" -> true
      bytes -> zero_bytes?(bytes) and zeros_from?(file, position + byte_size(bytes))
    end
  end

  defp zero_bytes?(bytes), do: bytes == :binary.copy(<<0>>, byte_size(bytes))

  # At least `size` bytes in the window, unless the file ends before.
  defp fill(%{window: window} = file, size) when byte_size(window) >= size, do: file

  defp fill(%{window: window} = file, size) do
    wanted = max(size - byte_size(window), @chunk)
    %{file | window: window <> pread!(file, file.offset + byte_size(window), wanted)}
  end

  defp advance(file, count) do
    <<_::binary-size(count), rest::binary>> = file.window
    %{file | offset: file.offset + count, window: rest}
  end

  defp pread!(file, position, size) do
    case pread(file.device, position, size) do
      {:ok, bytes} -> bytes
      {:error, reason} -> raise io_error(file.path, reason)
    end
  end

  defp pread(device, position, size) do
    case :file.pread(device, position, size) do
      {:ok, bytes} -> {:ok, bytes}
      :eof -> {:ok, ""}
      {:error, reason} -> {:error, reason}
    end
  end

  @spec io_error(Path.t(), atom()) :: Error.t()
  def io_error(path, reason) do
    message = "cannot read #{path}: #{:file.format_error(reason)}"
    Error.new(:io, message, %{file: path, errno: reason})
  end
end
